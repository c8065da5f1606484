import Engine

/// The fields of a request body, parsed as A1111 does: null is the same as a missing field. Pure.
struct A1111Fields {
    let object: [String: JSON]

    /// - Throws: `InputError` unless the body is an object
    init(_ json: JSON) throws(InputError) {
        guard let object = json.object else {
            throw InputError("the request", "it is not a JSON object", fix: "Send {\"prompt\": …}")
        }
        self.object = object
    }

    private subscript(name: String) -> JSON? {
        object[name].flatMap { $0 == .null ? nil : $0 }
    }

    func text(_ name: String) throws(InputError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.string else { throw JobRequest.wrongType(name, "text") }
        guard !text.utf8.contains(0) else {
            throw InputError(name, "it contains a NUL character", fix: "Remove it")
        }
        return text
    }

    func texts(_ name: String) throws(InputError) -> [String] {
        guard let value = self[name] else { return [] }
        guard let items = value.array, case let texts = items.compactMap(\.string),
            texts.count == items.count
        else { throw JobRequest.wrongType(name, "a list of texts") }
        return texts
    }

    func flag(_ name: String) throws(InputError) -> Bool {
        guard let value = self[name] else { return false }
        guard let flag = value.bool else { throw JobRequest.wrongType(name, "true or false") }
        return flag
    }

    func number(_ name: String) throws(InputError) -> Double? {
        guard let value = self[name] else { return nil }
        guard let number = value.number else { throw JobRequest.wrongType(name, "a number") }
        return number
    }

    func optionalInteger(_ name: String, _ range: ClosedRange<Int>) throws(InputError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw JobRequest.wrongType(
                name,
                "a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    func integer(
        _ name: String,
        _ range: ClosedRange<Int>,
        _ standard: Int
    ) throws(InputError) -> Int { try optionalInteger(name, range) ?? standard }
}

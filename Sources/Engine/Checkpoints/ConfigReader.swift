/// One configuration: a JSON object, read key by key with the types and defaults that the reader
/// states. What was never read is a fault: an option that we do not know could change the result.
package struct ConfigReader {
    private let members: [String: JSON]
    private let place: String
    private var known: Set<String> = []

    /// Reads a file that holds one object.
    package init(file: String) throws(InputError) {
        try self.init(object: JSON.read(file: file), place: file)
    }

    /// Reads an object that came from `place`.
    package init(object: JSON, place: String) throws(InputError) {
        guard case .object(let members) = object else {
            throw InputError(
                place,
                "is \(object.kind), not an object",
                fix: "Use the original file"
            )
        }
        self.members = members
        self.place = place
    }

    /// An error about one key.
    package func fault(_ key: String, _ problem: String, fix: String) -> InputError {
        InputError("\(place), '\(key)'", problem, fix: fix)
    }

    /// The value of a key; nil where it is missing or null.
    private mutating func value(_ key: String) -> JSON? {
        known.insert(key)
        guard let value = members[key], value != .null else { return nil }
        return value
    }

    private func wrong(_ key: String, _ value: JSON, _ wanted: String) -> InputError {
        fault(key, "is \(value), not \(wanted)", fix: "Compare the file with the model's original")
    }

    private func integer(_ key: String, _ value: JSON) throws(InputError) -> Int {
        guard case .number(let number) = value, number == number.rounded(),
            abs(number) <= 0x20_0000_0000_0000
        else { throw wrong(key, value, "a whole number") }
        return Int(number)
    }

    /// A whole number, nil where it is missing or null.
    package mutating func optionalInt(_ key: String) throws(InputError) -> Int? {
        guard let value = value(key) else { return nil }
        return try integer(key, value)
    }

    /// A whole number.
    package mutating func int(_ key: String, default fallback: Int) throws(InputError) -> Int {
        try optionalInt(key) ?? fallback
    }

    /// Whole numbers; one alone counts as a list of one.
    package mutating func ints(
        _ key: String,
        default fallback: [Int]
    ) throws(InputError) -> [Int] {
        guard let value = value(key) else { return fallback }
        guard case .array(let items) = value else { return [try integer(key, value)] }
        var result: [Int] = []
        for item in items { result.append(try integer(key, item)) }
        return result
    }

    /// A finite number.
    package mutating func float(_ key: String, default fallback: Float) throws(InputError) -> Float
    {
        guard let value = value(key) else { return fallback }
        guard case .number(let number) = value, number.isFinite else {
            throw wrong(key, value, "a number")
        }
        return Float(number)
    }

    /// True or false.
    package mutating func bool(_ key: String, default fallback: Bool) throws(InputError) -> Bool {
        guard let value = value(key) else { return fallback }
        guard case .bool(let result) = value else { throw wrong(key, value, "true or false") }
        return result
    }

    /// A text, nil where it is missing or null.
    package mutating func optionalString(_ key: String) throws(InputError) -> String? {
        guard let value = value(key) else { return nil }
        guard case .string(let result) = value else { throw wrong(key, value, "a text") }
        return result
    }

    /// A text.
    package mutating func string(
        _ key: String,
        default fallback: String
    ) throws(InputError) -> String {
        try optionalString(key) ?? fallback
    }

    /// Texts.
    package mutating func strings(
        _ key: String,
        default fallback: [String]
    ) throws(InputError) -> [String] {
        guard let value = value(key) else { return fallback }
        guard case .array(let items) = value else { throw wrong(key, value, "a list of texts") }
        var result: [String] = []
        for item in items {
            guard case .string(let text) = item else { throw wrong(key, item, "a text") }
            result.append(text)
        }
        return result
    }

    /// An option that we know but compute for these values only; a missing one is fine.
    package mutating func expect(_ key: String, _ allowed: [JSON]) throws(InputError) {
        known.insert(key)
        guard let value = members[key], !allowed.contains(value) else { return }
        let list = allowed.map(\.description).joined(separator: ", ")
        throw fault(
            key,
            "is \(value), which is not supported",
            fix: "Supported: \(list)"
        )
    }

    /// An option that we know and that changes nothing here.
    package mutating func ignore(_ keys: String...) { known.formUnion(keys) }

    /// Refuses keys that were never read; null ones and those that begin with `_` are notes.
    package func finish() throws(InputError) {
        let rest = members.filter {
            $0.value != .null && !$0.key.hasPrefix("_") && !known.contains($0.key)
        }
        guard let key = rest.keys.min() else { return }
        throw fault(
            key,
            "is an option that Tessera does not know",
            fix: "Remove it if it does not matter, or use a model without it"
        )
    }
}

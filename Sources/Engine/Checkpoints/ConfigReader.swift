/// Reads one configuration object and records which fields were read, so that an unknown option
/// is an error instead of a silently different picture.
package struct ConfigReader {
    /// The file, for errors.
    package let place: String
    private let fields: [String: JSON]
    private var seen: Set<String> = []

    /// - Throws: `InputError` if the file cannot be read or is not a JSON object
    package init(file: String) throws(InputError) {
        try self.init(JSON(try InputFile.bytes(file), place: file), place: file)
    }

    /// - Throws: `InputError` if `json` is not an object
    package init(_ json: JSON, place: String) throws(InputError) {
        guard let fields = json.object else {
            throw InputError(place, "it is not a JSON object", fix: "Use the model's own file")
        }
        self.fields = fields
        self.place = place
    }

    /// An error about one field.
    package func fault(_ key: String, _ problem: String, fix: String) -> InputError {
        // A malicious file may hold a name of any length.
        InputError("\(place): \(key.prefix(80))", problem, fix: fix)
    }

    /// The field, or nil if it is missing or null.
    package mutating func value(_ key: String) -> JSON? {
        seen.insert(key)
        guard let value = fields[key], value != .null else { return nil }
        return value
    }

    private static let compare = "Compare with the model's original file"

    private mutating func read<T>(
        _ key: String,
        _ kind: String,
        nullable: Bool,
        _ convert: (JSON) -> T?
    ) throws(InputError) -> T? {
        guard let value = value(key) else {
            // In Diffusers, null is a distinct value here, not the default.
            guard nullable || fields[key] == nil else {
                throw fault(key, "it is null, and must be \(kind)", fix: Self.compare)
            }
            return nil
        }
        guard let converted = convert(value) else {
            throw fault(key, "it is \(Self.shown(value)), not \(kind)", fix: Self.compare)
        }
        return converted
    }

    /// A value as quoted in an error.
    private static func shown(_ value: JSON) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value): Int(exactly: value).map(String.init) ?? "\(value)"
        case .string(let value): "'\(value.prefix(40))'"
        case .array: "a list"
        case .object: "an object"
        }
    }

    private static func kind(_ range: ClosedRange<Int>) -> String {
        range.count == 1
            ? "\(range.lowerBound)"
            : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }

    /// A whole number in `range`; nil if the field is missing or null.
    package mutating func optionalInt(
        _ key: String,
        in range: ClosedRange<Int>
    ) throws(InputError) -> Int? {
        try int(key, in: range, nullable: true)
    }

    private mutating func int(
        _ key: String,
        in range: ClosedRange<Int>,
        nullable: Bool
    ) throws(InputError) -> Int? {
        try read(
            key,
            Self.kind(range),
            nullable: nullable
        ) { json in json.integer.flatMap { range.contains($0) ? $0 : nil } }
    }

    package mutating func optionalString(_ key: String) throws(InputError) -> String? {
        try read(key, "text", nullable: true, \.string)
    }

    /// A whole number in `range`, the valid range of the field.
    package mutating func int(
        _ key: String,
        default fallback: Int,
        in range: ClosedRange<Int>
    ) throws(InputError) -> Int {
        try int(key, in: range, nullable: false) ?? fallback
    }

    /// A number in `range`: neither infinite nor NaN.
    package mutating func double(
        _ key: String,
        default fallback: Double,
        in range: ClosedRange<Double>
    ) throws(InputError) -> Double {
        try read(
            key,
            "a number from \(range.lowerBound) to \(range.upperBound)",
            nullable: false
        ) { json in json.number.flatMap { range.contains($0) ? $0 : nil } } ?? fallback
    }

    /// A number in `range`: neither infinite nor NaN.
    package mutating func float(
        _ key: String,
        default fallback: Float,
        in range: ClosedRange<Double>
    ) throws(InputError) -> Float {
        Float(try double(key, default: Double(fallback), in: range))
    }

    /// True or false; null is false, as in Python.
    package mutating func bool(_ key: String, default fallback: Bool) throws(InputError) -> Bool {
        if fields[key] == .null {
            seen.insert(key)
            return false
        }
        return try read(key, "true or false", nullable: true, \.bool) ?? fallback
    }

    package mutating func string(
        _ key: String,
        default fallback: String
    ) throws(InputError) -> String {
        try optionalString(key) ?? fallback
    }

    /// One whole number in `range`, or a list of at most `maxCount` of them.
    package mutating func ints(
        _ key: String,
        default fallback: [Int],
        in range: ClosedRange<Int>,
        maxCount: Int
    ) throws(InputError) -> [Int] {
        let kind = Self.kind(range)
        if let items = value(key)?.array {
            guard (1...maxCount).contains(items.count) else {
                throw fault(key, "it has \(items.count) entries", fix: "Give 1 to \(maxCount)")
            }
            for item in items {
                guard let integer = item.integer, range.contains(integer) else {
                    throw fault(
                        key,
                        "it holds \(Self.shown(item)), not \(kind)",
                        fix: Self.compare
                    )
                }
            }
            return items.compactMap(\.integer)
        }
        return try read(key, "\(kind), or a list of them", nullable: false) { json in
            json.integer.flatMap { range.contains($0) ? [$0] : nil }
        } ?? fallback
    }

    /// One number for all items of a group, or one for each.
    package enum Depths: Equatable, Sendable {
        case all(Int)
        case each([Int])
    }

    /// Whole numbers in `range`, or 0, for the items of groups: one number for all groups, or a list with a number or a
    /// list of numbers for each group. Nil if the field is missing or null.
    package mutating func depths(
        _ key: String,
        in range: ClosedRange<Int>,
        maxCount: Int
    ) throws(InputError) -> [Depths]? {
        let (kind, fix) = (Self.kind(range), Self.compare)
        func number(_ json: JSON) throws(InputError) -> Int {
            guard let integer = json.integer, integer == 0 || range.contains(integer) else {
                throw fault(key, "it holds \(Self.shown(json)), not \(kind)", fix: fix)
            }
            return integer
        }
        func numbers(_ list: [JSON]) throws(InputError) -> [Int] {
            guard (1...range.upperBound).contains(list.count) else {
                throw fault(key, "it has a list of \(list.count) entries", fix: fix)
            }
            var numbers: [Int] = []
            for json in list { numbers.append(try number(json)) }
            return numbers
        }
        guard let json = value(key) else { return nil }
        guard let list = json.array else { return [.all(try number(json))] }
        guard (1...maxCount).contains(list.count) else {
            throw fault(key, "it has \(list.count) entries", fix: "Give 1 to \(maxCount)")
        }
        var depths: [Depths] = []
        for json in list {
            if let inner = json.array {
                depths.append(.each(try numbers(inner)))
            } else {
                depths.append(.all(try number(json)))
            }
        }
        return depths
    }

    /// Whether a field is present and null.
    package mutating func isNull(_ key: String) -> Bool {
        seen.insert(key)
        return fields[key] == .null
    }

    /// All fields, unchanged.
    package var json: [String: JSON] { fields }

    /// A list of strings.
    package mutating func strings(
        _ key: String,
        default fallback: [String]
    ) throws(InputError) -> [String] {
        try read(key, "a list of texts", nullable: false) { json in
            let items = json.array ?? []
            let strings = items.compactMap(\.string)
            return strings.count == items.count && json.array != nil ? strings : nil
        } ?? fallback
    }

    /// Accepts a field with one of the `allowed` values; it may also be missing, or null if it
    /// is `nullable`, because for some options null means something other than the default.
    package mutating func expect(
        _ key: String,
        _ allowed: [JSON],
        nullable: Bool = true
    ) throws(InputError) {
        guard let value = value(key) else {
            guard nullable || fields[key] == nil else {
                throw fault(
                    key,
                    "it is null, which is not supported",
                    fix: "Only \(allowed.map(Self.shown).joined(separator: ", ")) is supported"
                )
            }
            return
        }
        guard !allowed.contains(value) else { return }
        throw fault(
            key,
            "\(Self.shown(value)) is not supported",
            fix: "Use a model without this option"
        )
    }

    /// Accepts fields whose values make no difference here.
    package mutating func ignore(_ keys: String...) { seen.formUnion(keys) }

    /// Accepts fields whose values make no difference here.
    package mutating func ignore(_ keys: [String]) { seen.formUnion(keys) }

    /// Rejects fields that were not read. Null fields, and names that begin with an underscore
    /// (which Diffusers uses for notes about the file), are not options.
    ///
    /// - Throws: `InputError` naming the alphabetically first one
    package func finish() throws(InputError) {
        let unknown = fields.filter { key, value in
            !seen.contains(key) && value != .null && !key.hasPrefix("_")
        }.keys.min()
        guard let unknown else { return }
        throw fault(unknown, "this option is unknown", fix: "Tessera does not support it yet")
    }
}

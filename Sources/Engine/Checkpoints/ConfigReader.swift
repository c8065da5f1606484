/// Reads one configuration object and remembers what was asked for, so that an option nobody knows
/// is an error instead of a silently different picture.
package struct ConfigReader {
    /// The file, for errors.
    package let place: String
    private let fields: [String: JSON]
    private var seen: Set<String> = []

    /// - Throws: `InputError` when the file cannot be read or is not a JSON object
    package init(file: String) throws(InputError) {
        try self.init(JSON(try InputFile.bytes(file), place: file), place: file)
    }

    /// - Throws: `InputError` when `json` is not an object
    package init(_ json: JSON, place: String) throws(InputError) {
        guard let fields = json.object else {
            throw InputError(place, "it is not a JSON object", fix: "Use the model's own file")
        }
        self.fields = fields
        self.place = place
    }

    /// An error about one field.
    package func fault(_ key: String, _ problem: String, fix: String) -> InputError {
        // A name that the file invents may have any length.
        InputError("\(place): \(key.prefix(80))", problem, fix: fix)
    }

    /// The field, or nil where it is missing or null.
    package mutating func value(_ key: String) -> JSON? {
        seen.insert(key)
        guard let value = fields[key], value != .null else { return nil }
        return value
    }

    private mutating func read<T>(
        _ key: String,
        _ kind: String,
        _ convert: (JSON) -> T?
    ) throws(InputError) -> T? {
        guard let value = value(key) else { return nil }
        guard let converted = convert(value) else {
            throw fault(key, "it is not \(kind)", fix: "Compare with the model's original file")
        }
        return converted
    }

    package mutating func optionalInt(_ key: String) throws(InputError) -> Int? {
        try read(key, "a whole number") { json in
            json.integer.flatMap { abs($0) <= 1 << 40 ? $0 : nil }
        }
    }

    package mutating func optionalString(_ key: String) throws(InputError) -> String? {
        try read(key, "text", \.string)
    }

    package mutating func int(_ key: String, default fallback: Int) throws(InputError) -> Int {
        try optionalInt(key) ?? fallback
    }

    package mutating func double(
        _ key: String,
        default fallback: Double
    ) throws(InputError) -> Double {
        try read(key, "a number", \.number) ?? fallback
    }

    package mutating func float(_ key: String, default fallback: Float) throws(InputError) -> Float
    {
        try read(key, "a number") { $0.number.map { Float($0) } } ?? fallback
    }

    package mutating func bool(_ key: String, default fallback: Bool) throws(InputError) -> Bool {
        try read(key, "true or false", \.bool) ?? fallback
    }

    package mutating func string(
        _ key: String,
        default fallback: String
    ) throws(InputError) -> String {
        try optionalString(key) ?? fallback
    }

    /// One whole number, or a list of them.
    package mutating func ints(_ key: String, default fallback: [Int]) throws(InputError) -> [Int] {
        try read(key, "a whole number or a list of them") { json in
            let items = json.array ?? [json]
            let integers = items.compactMap(\.integer).filter { abs($0) <= 1 << 40 }
            return integers.count == items.count ? integers : nil
        } ?? fallback
    }

    /// A list of texts.
    package mutating func strings(
        _ key: String,
        default fallback: [String]
    ) throws(InputError) -> [String] {
        try read(key, "a list of texts") { json in
            let items = json.array ?? []
            let strings = items.compactMap(\.string)
            return strings.count == items.count && json.array != nil ? strings : nil
        } ?? fallback
    }

    /// Accepts a field with one of `allowed` values; a missing field is accepted too.
    package mutating func expect(_ key: String, _ allowed: [JSON]) throws(InputError) {
        guard let value = value(key), !allowed.contains(value) else { return }
        throw fault(
            key,
            "this value of it is not supported",
            fix: "Use a model without this option"
        )
    }

    /// Accepts fields whose values change nothing here.
    package mutating func ignore(_ keys: String...) { seen.formUnion(keys) }

    /// Accepts fields whose values change nothing here.
    package mutating func ignore(_ keys: [String]) { seen.formUnion(keys) }

    /// Refuses fields that nobody asked for. Null fields and names that begin with an underscore,
    /// which Diffusers uses for notes about the file, are no options.
    ///
    /// - Throws: `InputError` naming the first one in the alphabet
    package func finish() throws(InputError) {
        let unknown = fields.filter { key, value in
            !seen.contains(key) && value != .null && !key.hasPrefix("_")
        }.keys.min()
        guard let unknown else { return }
        throw fault(unknown, "this option is unknown", fix: "Tessera does not support it yet")
    }
}

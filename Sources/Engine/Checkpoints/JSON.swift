/// A JSON value, parsed strictly.
package indirect enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// Parses one JSON text. Accepts two extensions for files from Python, `Infinity`/`-Infinity` and
    /// `NaN`, and one for editors, a byte-order mark at the start. Duplicate keys, text after the value,
    /// nesting beyond 64 levels and more than a million values are rejected.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 text
    ///   - place: names the text in errors
    /// - Throws: `InputError` with the offset of the first error
    package init(_ bytes: some Collection<UInt8>, place: String) throws(InputError) {
        let bytes = Array(bytes)
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            throw InputError(place, "it is UTF-16 text", fix: "Save it as UTF-8")
        }
        let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
        var parser = JSONParser(bytes: bytes, place: place)
        if hasMark { parser.at = 3 }
        self = try parser.document()
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var object: [String: JSON]? { if case .object(let value) = self { value } else { nil } }
    package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var number: Double? { if case .number(let value) = self { value } else { nil } }

    /// A whole number below 2⁵³ in magnitude, which a Double holds exactly: 2⁵³ may have been written as 2⁵³ + 1.
    package var integer: Int? {
        guard case .number(let value) = self, value == value.rounded(),
            abs(value) < 9_007_199_254_740_992
        else { return nil }
        return Int(value)
    }
}

/// A recursive-descent parser for RFC 8259.
private struct JSONParser {
    let bytes: [UInt8]
    let place: String
    var at = 0
    var depth = 0
    private var count = 0

    static let deepest = 64
    /// Maximum number of values in one text. Each takes up to a hundred bytes of memory for two bytes of the file; the
    /// header of SDXL in one file has 20,000 values, and the vocabulary and merges of CLIP have 150,000.
    static let maxValues = 1_000_000

    init(bytes: [UInt8], place: String) {
        self.bytes = bytes
        self.place = place
    }

    mutating func document() throws(InputError) -> JSON {
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw fault("there is text after the value") }
        return value
    }

    func fault(_ problem: String) -> InputError {
        InputError("\(place), byte \(at)", problem, fix: "It must be valid JSON")
    }

    mutating func skipSpace() {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    mutating func word(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - at >= count else { return false }
        for i in 0..<count where bytes[at + i] != text.utf8Start[i] { return false }
        at += count
        return true
    }

    mutating func value() throws(InputError) -> JSON {
        skipSpace()
        count += 1
        guard count <= Self.maxValues else {
            throw fault("there are more than \(Self.maxValues) values")
        }
        guard at < bytes.count else { throw fault("it ends where a value is expected") }
        switch bytes[at] {
        case UInt8(ascii: "{"):
            return try nested { parser throws(InputError) in try parser.object() }
        case UInt8(ascii: "["):
            return try nested { parser throws(InputError) in try parser.array() }
        case UInt8(ascii: "\""): return .string(try string())
        default: break
        }
        if word("true") { return .bool(true) }
        if word("false") { return .bool(false) }
        if word("null") { return .null }
        if word("NaN") { return .number(.nan) }
        if word("Infinity") { return .number(.infinity) }
        if word("-Infinity") { return .number(-.infinity) }
        return .number(try number())
    }

    mutating func nested(
        _ body: (inout JSONParser) throws(InputError) -> JSON
    ) throws(InputError) -> JSON {
        depth += 1
        guard depth <= Self.deepest else {
            throw fault("values are nested more than \(Self.deepest) deep")
        }
        at += 1
        let value = try body(&self)
        depth -= 1
        return value
    }

    mutating func object() throws(InputError) -> JSON {
        var members: [String: JSON] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else {
                throw fault("a key is expected")
            }
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw fault("a colon is expected") }
            let value = try value()
            guard members.updateValue(value, forKey: key) == nil else {
                throw fault("the key '\(key.prefix(80))' is duplicated")
            }
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "}")) else { throw fault("a comma or } is expected") }
            return .object(members)
        }
    }

    mutating func array() throws(InputError) -> JSON {
        var items: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(items) }
        while true {
            items.append(try value())
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "]")) else { throw fault("a comma or ] is expected") }
            return .array(items)
        }
    }

    mutating func string() throws(InputError) -> String {
        at += 1
        var text: [UInt8] = []
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw fault("a string is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
            case 0..<0x20: throw fault("a string contains a control character")
            default: text.append(byte)
            }
        }
        throw fault("a string is not terminated")
    }

    mutating func escape() throws(InputError) -> [UInt8] {
        guard at < bytes.count else { throw fault("a string is not terminated") }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): break
        default: throw fault("a string contains an unknown escape")
        }
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code) {
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
                throw fault("a string contains an unpaired surrogate")
            }
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low) else {
                throw fault("a string contains an unpaired surrogate")
            }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw fault("a string contains an unpaired surrogate")
        }
        return Array(String(Character(scalar)).utf8)
    }

    mutating func hexadecimal() throws(InputError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard at < bytes.count, let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue
            else { throw fault("four hexadecimal digits are expected") }
            code = code << 4 + UInt32(digit)
            at += 1
        }
        return code
    }

    mutating func number() throws(InputError) -> Double {
        let start = at
        _ = take(UInt8(ascii: "-"))
        try digits(noLeadingZero: true)
        if take(UInt8(ascii: ".")) { try digits(noLeadingZero: false) }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits(noLeadingZero: false)
        }
        guard at - start <= 400,
            let value = Double(String(decoding: bytes[start..<at], as: UTF8.self))
        else { throw fault("a number is malformed") }
        return value
    }

    mutating func digits(noLeadingZero: Bool) throws(InputError) {
        let start = at
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
        guard at > start else { throw fault("a value is expected") }
        if noLeadingZero, at - start > 1, bytes[start] == 0x30 {
            throw fault("a number has a leading 0")
        }
    }
}

/// Recursive descent over the bytes of one document.
struct JSONParser {
    private let bytes: [UInt8]
    private let place: String
    private var at = 0
    private var level = 0

    init(bytes: [UInt8], place: String) {
        self.bytes = bytes
        self.place = place
    }

    mutating func document() throws(InputError) -> JSON {
        let result = try value()
        skipSpace()
        guard at == bytes.count else { throw fault("goes on after its end") }
        return result
    }

    private func fault(_ problem: String) -> InputError {
        InputError(
            place,
            "is not valid JSON: it \(problem) at byte \(at)",
            fix: "Fetch the file again or correct it there"
        )
    }

    private mutating func skipSpace() {
        while at < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[at]) { at += 1 }
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    /// Takes `byte` if it comes next.
    private mutating func take(_ byte: Character) -> Bool {
        guard next == byte.asciiValue else { return false }
        at += 1
        return true
    }

    private mutating func value() throws(InputError) -> JSON {
        skipSpace()
        switch next {
        case nil: throw fault("ends too early")
        case UInt8(ascii: "{"): return try nested { p throws(InputError) in try p.object() }
        case UInt8(ascii: "["): return try nested { p throws(InputError) in try p.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N"): return try word("NaN", .number(.nan))
        case UInt8(ascii: "I"): return try word("Infinity", .number(.infinity))
        default: return try number()
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(InputError) -> JSON
    ) throws(InputError) -> JSON {
        level += 1
        guard level <= JSON.mostLevels else { throw fault("is nested too deeply") }
        at += 1
        let result = try body(&self)
        level -= 1
        return result
    }

    private mutating func word(_ text: String, _ value: JSON) throws(InputError) -> JSON {
        guard bytes[at...].starts(with: text.utf8) else { throw fault("has an unknown word") }
        at += text.utf8.count
        return value
    }

    private mutating func object() throws(InputError) -> JSON {
        var members: [String: JSON] = [:]
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw fault("lacks a key") }
            let key = try string()
            skipSpace()
            guard take(":") else { throw fault("lacks a ':'") }
            let member = try value()
            guard members.updateValue(member, forKey: key) == nil else {
                throw fault("has the key '\(key.prefix(80))' twice")
            }
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw fault("lacks a ',' or '}'") }
        }
    }

    private mutating func array() throws(InputError) -> JSON {
        var items: [JSON] = []
        skipSpace()
        if take("]") { return .array(items) }
        while true {
            items.append(try value())
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw fault("lacks a ',' or ']'") }
        }
    }

    private mutating func digits() -> Int {
        let start = at
        while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
        return at - start
    }

    private mutating func number() throws(InputError) -> JSON {
        let start = at
        let negative = take("-")
        if negative, next == UInt8(ascii: "I") { return try word("Infinity", .number(-.infinity)) }
        let leadingZero = next == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0 else { throw fault("has no value") }
        guard !leadingZero || whole == 1 else { throw fault("has a number with leading zeros") }
        if take(".") {
            guard digits() > 0 else { throw fault("has a number without decimals") }
        }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() > 0 else { throw fault("has a number without exponent") }
        }
        guard let value = Double(String(decoding: bytes[start..<at], as: UTF8.self)) else {
            throw fault("has an unreadable number")
        }
        return .number(value)
    }

    private mutating func string() throws(InputError) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else {
                    throw fault("has text that is not UTF-8")
                }
                return result
            case UInt8(ascii: "\\"): text += try escape()
            case 0..<0x20: throw fault("has a control character in a text")
            default: text.append(byte)
            }
        }
        throw fault("ends inside a text")
    }

    private mutating func escape() throws(InputError) -> [UInt8] {
        guard let byte = next else { throw fault("ends inside a text") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard take("\\"), take("u") else { throw fault("has half a surrogate pair") }
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw fault("has half a surrogate pair")
                }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw fault("has half a surrogate pair")
            }
            return Array(String(Character(scalar)).utf8)
        default: throw fault("has an unknown escape")
        }
    }

    private mutating func hexadecimal() throws(InputError) -> UInt32 {
        guard at + 4 <= bytes.count else { throw fault("ends inside a text") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else {
                throw fault("has an unreadable escape")
            }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}

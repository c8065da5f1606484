import Engine
import Testing

@Suite struct JSONTests {
    static let valid: [(String, JSON)] = [
        ("null", .null), (" true\n", .bool(true)), ("-0", .number(0)), ("12.5e-1", .number(1.25)),
        ("9007199254740992", .number(9_007_199_254_740_992)), ("-Infinity", .number(-.infinity)),
        ("Infinity", .number(.infinity)), ("[]", .array([])), ("{}", .object([:])),
        ("[1, [2]]", .array([.number(1), .array([.number(2)])])),
        ("{\"a\": {\"b\": \"c\"}}", .object(["a": .object(["b": .string("c")])])),
        (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
        (#""é\u00e9\ud83e\udd8a""#, .string("éé🦊")),
    ]

    @Test(arguments: valid) func readsWhatTheStandardAllows(_ text: String, _ value: JSON) throws {
        #expect(try JSON(text.utf8, place: "test") == value)
    }

    @Test func readsPastAByteOrderMark() throws {
        #expect(try JSON("\u{FEFF}\r\n[1]\r\n".utf8, place: "test").array?.count == 1)
    }

    @Test func readsPythonsNaN() throws {
        guard case .number(let value) = try JSON("NaN".utf8, place: "test") else {
            Issue.record("not a number")
            return
        }
        #expect(value.isNaN)
    }

    static let invalid = [
        "", "[", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "1 2", "01", "1.", ".5", "1e", "+1",
        "-", "tru", "nul", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
        "\"\\udc00\"", "\"\u{1}\"", "[1 2]", "{\"a\":1,\"a\":2}", "'a'", "[NaN0]", "1\u{FEFF}",
        "\u{FEFF}", "\u{FEFF}\u{FEFF}1", String(repeating: "[", count: 100_000),
    ]

    @Test(arguments: invalid) func refusesTheRest(_ text: String) {
        #expect(throws: InputError.self) { _ = try JSON(text.utf8, place: "test") }
    }

    /// Two bytes of a file may take forty bytes of memory, so the number of values is limited.
    @Test func refusesMoreThanAMillionValues() throws {
        let many = Array(("[" + String(repeating: "0,", count: 999_998) + "0]").utf8)
        #expect(try JSON(many, place: "test").array?.count == 999_999)
        let error = #expect(throws: InputError.self) {
            _ = try JSON([0x5B] + many + [0x5D], place: "test")
        }
        #expect(error?.problem.contains("more than 1000000 values") == true)
    }

    @Test func refusesWhatIsNotUTF8() {
        #expect(throws: InputError.self) {
            _ = try JSON([0x22, 0xC3, 0x28, 0x22], place: "test")
        }
    }
}

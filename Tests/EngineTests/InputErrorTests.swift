import Engine
import Testing

@Suite struct InputErrorTests {
    /// What a file holds must neither break the line nor reach the terminal as a command.
    @Test func isOneLineWhateverTheFileHolds() {
        let error = InputError(
            "a\u{1B}[31m.yaml",
            "'x\ny\u{7}\u{85}\u{2028}\u{202E}é🦊\u{200D}' is unknown",
            fix: "Correct\rit"
        )
        #expect("\(error)" == "a·[31m.yaml: 'x·y····é🦊\u{200D}' is unknown. Correct·it.")
    }

    @Test func isBounded() {
        let path = "/" + String(repeating: "d", count: 4000)
        let error = InputError(path, String(repeating: "{a: ", count: 60_000), fix: "Correct it")
        let line = "\(error)"
        #expect(line.hasPrefix("\(path): {a: {a: ") && line.hasSuffix("…. Correct it."))
        #expect(line.count < 5000)
    }
}

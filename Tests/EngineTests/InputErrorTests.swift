import Engine
import Glibc
import Testing

@Suite struct InputErrorTests {
    /// The contents of a file must neither break the line nor reach the terminal as control sequences.
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

/// Failures at a limit of the system are not the input's fault.
@Suite struct SystemLimitTests {
    @Test(arguments: [
        (EMFILE, "ulimit -n"), (ENFILE, "open files"), (ENOMEM, "memory"), (ENOSPC, "disk"),
        (EDQUOT, "quota"), (EIO, "disk"),
    ])
    func aLimitSaysWhatToDoAboutIt(code: Int32, part: String) {
        let error = InputError("/x", "it cannot be opened", code: code, fix: "Check the path")
        #expect(error.isSystemLimit && error.remedy.contains(part))
        #expect(error.problem == "it cannot be opened: \(String(cString: strerror(code)))")
    }

    @Test(arguments: [ENOENT, EACCES, ENOTDIR, EROFS, ELOOP])
    func otherFailuresAreOfTheInput(code: Int32) {
        let error = InputError("/x", "it cannot be opened", code: code, fix: "Check the path")
        #expect(!error.isSystemLimit && error.remedy == "Check the path")
    }
}

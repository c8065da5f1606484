import Foundation
import Tessera
import TestSupport
import Testing

/// Progress on terminals of all widths.
@Suite(.serialized) struct TerminalTests {
    private func flags(_ folder: String) -> [String] {
        [
            "render", "--model", Fixtures.networks.first?.checkpoint ?? "", "--prompt", "a prompt",
            "--size", "264x200", "--steps", "8", "--output", "\(folder)/out.png",
        ]
    }

    /// However narrow the terminal is, progress takes one row, and none at the end.
    @Test(arguments: ["80", "40", "200", "20", "120:60"])
    func progressIsOneRow(columns: String) throws {
        try inTemporaryFolder { folder in
            let isResized = columns.contains(":")
            let command = try Command(
                flags(folder),
                environment: ["TERM": "xterm", "LC_ALL": "C.UTF-8"],
                through: Command.streams(isResized ? "resize" : "terminal", columns)
            )
            #expect(command.status == 0, "\(command.output)")
            #expect(command.output.contains(" %"), "no progress: \(command.output)")
            let last = columns.split(separator: ":").last.flatMap { Int($0) } ?? 80
            var screen = Screen(columns: last)
            // Output from before the resize was as wide as the terminal was then.
            screen.wraps = !isResized
            var rows = 0
            for character in command.output.unicodeScalars {
                screen.take(character)
                guard character == "%" || character == "\n" else { continue }
                rows = max(rows, screen.rows.count { $0.contains("%") })
            }
            #expect(rows == 1, "\(screen.rows)")
            #expect(!screen.rows.contains { $0.contains("%") }, "\(screen.rows)")
            #expect(screen.rows.contains { $0.contains("UNet calls") || last < 60 })
        }
    }

    @Test(arguments: [
        ["TERM": "dumb", "LC_ALL": "C.UTF-8"], ["TERM": "", "LC_ALL": "C.UTF-8"],
    ])
    func terminalsThatCannotEraseGetPlainLines(environment: [String: String]) throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                flags(folder),
                environment: environment,
                through: Command.streams("terminal", "80")
            )
            #expect(command.status == 0, "\(command.output)")
            #expect(!command.output.contains("\u{1B}") && !command.output.contains("█"))
            #expect(command.output.contains(" %"))
        }
    }

    @Test func anASCIILocaleGetsASCII() throws {
        try inTemporaryFolder { folder in
            for (program, launcher) in [
                ("render", Command.streams("terminal", "80")), ("plan", []),
            ] {
                var arguments = flags(folder)
                arguments[0] = program
                let command = try Command(
                    arguments,
                    environment: ["TERM": "xterm", "LC_ALL": "C"],
                    through: launcher
                )
                #expect(command.status == 0, "\(command.output)")
                let text = command.output + command.errors
                #expect(text.utf8.allSatisfy { $0 < 128 }, "\(text)")
                #expect(text.contains("264x200"))
            }
        }
    }

    @Test func terminalCapabilitiesComeFromTheEnvironment() {
        func terminal(_ environment: [String: String]) -> Terminal {
            Terminal(isTerminal: true, environment: environment)
        }
        #expect(terminal(["TERM": "xterm-256color"]).redraws)
        #expect(!terminal(["TERM": "dumb"]).redraws && !terminal([:]).redraws)
        #expect(!Terminal(isTerminal: false, environment: ["TERM": "xterm"]).redraws)
        #expect(terminal([:]).isUnicode && terminal(["LANG": "de_DE.UTF-8"]).isUnicode)
        #expect(!terminal(["LANG": "C"]).isUnicode && !terminal(["LANG": "de_DE"]).isUnicode)
        // The first variable that is set counts; an empty one does not.
        #expect(!terminal(["LC_ALL": "POSIX", "LANG": "C.UTF-8"]).isUnicode)
        #expect(terminal(["LC_ALL": "", "LANG": "en_US.utf8"]).isUnicode)
        #expect(terminal(["LANG": "C"]).spelled("█░ 2×2 … “a”") == "#. 2x2 ... \"a\"")
        // File names are neither echoed raw nor changed beyond recognition.
        #expect(terminal(["LANG": "C"]).spelled("höhe.png") == "h\\xC3\\xB6he.png")
        #expect(terminal(["LANG": "C"]).spelled("海").utf8.allSatisfy { $0 < 128 })
    }

    /// Text from a file or a host can neither control the terminal nor pass for a line of its own.
    @Test(arguments: ["C", "C.UTF-8"]) func controlCharactersAreSpelled(locale: String) {
        let terminal = Terminal(isTerminal: true, environment: ["LANG": locale])
        let text = "a\u{1B}[31m\r\n\tb\u{0}\u{7F}\u{9B}\u{202E}\n\u{2028}c"
        #expect(
            terminal.spelled(text)
                == #"a\x1B[31m\x0D\n"# + "\t" + #"b\x00\x7F\xC2\x9B\xE2\x80\xAE\n\xE2\x80\xA8c"#
        )
        #expect(terminal.spelled("a\n\tb\u{1B}\n", isOneLine: false) == "a\n\tb\\x1B\n")
        #expect(terminal.spelled("a lake, b") == "a lake, b")
    }

    @Test func linesFitAnyWidth() {
        let parts = ["3 min 2 s left", "phase 2/4", "step 12/50", "view 3/9", "10.2 views/s"]
        for columns in 0...200 {
            for share in [0, 0.333, 1] {
                let line = ProgressLine.fitted(share: share, parts, columns: columns)
                #expect(line.count < max(1, columns), "\(columns): \(line)")
            }
        }
        let wide = ProgressLine.fitted(share: 0.5, parts, columns: 200)
        #expect(wide.hasPrefix(String(repeating: "█", count: 12) + "░"))
        #expect(parts.allSatisfy(wide.contains) && wide.contains("50 %"))
        let narrow = ProgressLine.fitted(share: 0.5, parts, columns: 40)
        #expect(narrow.contains("50 %  3 min 2 s left") && !narrow.contains("view 3/9"))
    }
}

/// A terminal with just what progress needs.
private struct Screen {
    let columns: Int
    /// Whether text continues in the next row at the end of one.
    var wraps = true
    private var text: [[Unicode.Scalar]] = [[]]
    private var (row, column) = (0, 0)
    private var escape: String?

    var rows: [String] {
        text.map { String(String.UnicodeScalarView($0)).trimmingCharacters(in: .whitespaces) }
    }

    init(columns: Int) {
        self.columns = columns
    }

    mutating func take(_ scalar: Unicode.Scalar) {
        if let begun = escape {
            escape = begun + String(scalar)
            guard scalar.properties.isAlphabetic else { return }
            obey(escape ?? "")
            escape = nil
            return
        }
        switch scalar {
        case "\u{1B}": escape = ""
        case "\r": column = 0
        case "\n": down()
        default:
            if wraps, column == columns {
                down()
                column = 0
            }
            while text[row].count <= column { text[row].append(" ") }
            text[row][column] = scalar
            column += 1
        }
    }

    private mutating func down() {
        row += 1
        if row == text.count { text.append([]) }
    }

    private mutating func obey(_ escape: String) {
        switch escape.last {
        case "K": text[row].removeSubrange(min(column, text[row].count)...)
        case "J":
            text[row].removeSubrange(min(column, text[row].count)...)
            text.removeSubrange((row + 1)...)
        case "A": row = max(0, row - (Int(escape.dropFirst().dropLast()) ?? 1))
        default: break
        }
    }
}

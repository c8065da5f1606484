import Engine
import Foundation

/// Capabilities of the terminal on standard error.
package struct Terminal: Equatable, Sendable {
    /// Whether lines can be erased and redrawn.
    package let redraws: Bool
    /// Whether characters beyond ASCII are displayed correctly.
    package let isUnicode: Bool

    /// - Parameters:
    ///   - isTerminal: the result of `isatty`
    ///   - environment: `TERM`, and the variables that select the locale; if none is set, as in containers, UTF-8 is
    ///     assumed
    package init(isTerminal: Bool, environment: [String: String]) {
        redraws = isTerminal && !["", "dumb"].contains(environment["TERM"] ?? "")
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }
            .first { !$0.isEmpty }
        let codeset = locale?.lowercased() ?? "utf-8"
        isUnicode = codeset.contains("utf-8") || codeset.contains("utf8")
    }

    /// The terminal of this process.
    static let current = Terminal(
        isTerminal: isatty(STDERR_FILENO) == 1,
        environment: ProcessInfo.processInfo.environment
    )

    /// Current width in columns, queried on each call because the terminal may have been resized.
    static var columns: Int {
        var size = winsize()
        if ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
            return Int(size.ws_col)
        }
        return ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 80
    }

    /// Text restricted to the characters that can be displayed; others become `\xC3\xB6`, bytes in the notation of
    /// `printf` and of a shell's `$'…'`. Control characters and those that change the direction of text are also
    /// escaped: what a file or a host contributed to a message must not control the terminal or look like a separate
    /// line.
    ///
    /// - Parameters:
    ///   - text: the text
    ///   - isOneLine: whether line feeds are escaped like other control characters
    /// - Returns: the text with escapes
    package func spelled(_ text: String, isOneLine: Bool = true) -> String {
        func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
            isHarmlessOnTerminal(scalar) || scalar == "\t" || (scalar == "\n" && !isOneLine)
        }
        guard
            !text.unicodeScalars.allSatisfy({
                $0.isASCII ? isHarmless($0) : isUnicode && isHarmless($0)
            })
        else { return text }
        return text.map { character in
            guard character.unicodeScalars.allSatisfy(isHarmless) else {
                // Swift treats CR LF as a single character.
                return character.unicodeScalars.map { scalar in
                    isHarmless(scalar) ? spelled(scalar) : Self.escaped(scalar)
                }.joined()
            }
            guard !isUnicode, !character.isASCII else { return String(character) }
            return Self.plain[character] ?? character.utf8.map(Self.escaped).joined()
        }.joined()
    }

    private func spelled(_ scalar: Unicode.Scalar) -> String {
        isUnicode || scalar.isASCII ? String(scalar) : Self.escaped(scalar)
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        scalar == "\n" ? "\\n" : String(scalar).utf8.map(escaped).joined()
    }

    private static func escaped(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "\\x" + (digits.count < 2 ? "0" : "") + digits
    }

    private static let plain: [Character: String] = [
        "…": "...", "×": "x", "–": "-", "—": "-", "−": "-", "█": "#", "░": ".", "·": "*",
        "“": "\"", "”": "\"", "’": "'",
    ]
}

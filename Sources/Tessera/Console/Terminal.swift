import Engine
import Foundation

/// Capabilities of the terminal on standard error.
package struct Terminal: Equatable, Sendable {
    /// Whether lines can be erased and redrawn.
    package let redraws: Bool
    /// Whether text beyond ASCII is displayed correctly.
    package let isUnicode: Bool

    /// - Parameters:
    ///   - isTerminal: what `isatty` says
    ///   - environment: `TERM`, and the variables that choose the locale. Without any, as in containers,
    ///     UTF-8 is assumed.
    package init(isTerminal: Bool, environment: [String: String]) {
        redraws = isTerminal && !["", "dumb"].contains(environment["TERM"] ?? "")
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }
            .first { !$0.isEmpty }
        let codeset = locale?.lowercased() ?? "utf-8"
        isUnicode = codeset.contains("utf-8") || codeset.contains("utf8")
    }

    /// Of this process.
    static let current = Terminal(
        isTerminal: isatty(STDERR_FILENO) == 1,
        environment: ProcessInfo.processInfo.environment
    )

    /// Current width in columns: the terminal may have been resized since the last call.
    static var columns: Int {
        var size = winsize()
        if ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
            return Int(size.ws_col)
        }
        return ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 80
    }

    /// Text restricted to the characters that can be displayed; others become `\xC3\xB6`, the bytes as `printf` and
    /// `$'…'` of a shell take them. So do control characters, and those that change the direction of text: what a file or
    /// a host contributed to a message must not command the terminal, nor look like a line of its own.
    ///
    /// - Parameters:
    ///   - text: any
    ///   - isOneLine: whether line feeds are control characters like others
    /// - Returns: it
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
                // Line ends of Windows are one character.
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

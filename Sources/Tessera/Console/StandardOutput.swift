import Engine
import Foundation
import Protocol

/// The only writer of standard output. Results are written completely, or an error is thrown.
enum StandardOutput {
    /// Prints text and a line feed.
    ///
    /// - Throws: `OutputError` if standard output is closed, full or broken
    static func write(_ text: String) throws(OutputError) {
        let status = StandardStreams.write(Array("\(text)\n".utf8), to: STDOUT_FILENO)
        guard status == 0 else {
            throw OutputError("standard output", String(cString: strerror(status)))
        }
    }

    /// Prints human-readable lines.
    ///
    /// - Throws: the same errors as `write`
    static func write(lines: [String]) throws(OutputError) {
        try write(lines.map { Terminal.current.spelled($0) }.joined(separator: "\n"))
    }

    /// Prints human-readable text of several lines that contains nothing from files or hosts.
    ///
    /// - Throws: the same errors as `write`
    static func write(paragraphs text: String) throws(OutputError) {
        try write(Terminal.current.spelled(text, isOneLine: false))
    }

    /// Prints one line of JSON.
    ///
    /// - Throws: the same errors as `write`
    static func write(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try write(String(decoding: encoder.encode(value), as: UTF8.self))
    }
}

import Engine
import Foundation
import Synchronization

/// Texts of the files in which models suggest settings, each read once. A resumed job and the rest of a series go on with
/// the suggestions that they were started with, whatever has become of the files since.
package final class SuggestionMemory: Sendable {
    private let texts: Mutex<[String: String]>

    /// Bytes of a file; its text is stored with every job.
    private static let maxBytes = 1 << 16

    /// - Parameter recorded: what an earlier run read (`recorded`)
    package init(_ recorded: [String: String] = [:]) { texts = Mutex(recorded) }

    /// What was read so far, by the models' paths; empty for a model without a file.
    package var recorded: [String: String] { texts.withLock { $0 } }

    /// - Parameters:
    ///   - model: its path
    ///   - file: where it may suggest settings
    /// - Returns: the file's text when it was first read; nil if there was none
    /// - Throws: `InputError` when it cannot be read
    func text(ofModel model: String, file: String) throws(InputError) -> String? {
        if let known = texts.withLock({ $0[model] }) { return known.isEmpty ? nil : known }
        var text = ""
        if FileManager.default.fileExists(atPath: file) {
            text = try InputFile.text(file, limit: Self.maxBytes)
            guard !text.isEmpty else {
                throw InputError(file, "it is empty", fix: "Write {\"guidance\": 5}, or remove it")
            }
        }
        texts.withLock { $0[model] = text }
        return text.isEmpty ? nil : text
    }
}

import Engine
import Foundation
import Synchronization

/// Texts of the files in which models suggest settings, each read once. A resumed job and the rest of a series keep the
/// suggestions that they were started with, even if the files have changed since.
package final class SuggestionMemory: Sendable {
    private let texts: Mutex<[String: String]>

    /// Maximum size of a file in bytes; its text is stored with every job.
    private static let maxBytes = 1 << 16

    /// - Parameter recorded: what an earlier run read (`recorded`)
    package init(_ recorded: [String: String] = [:]) { texts = Mutex(recorded) }

    /// Texts read so far, by model path; empty for a model without a file.
    package var recorded: [String: String] { texts.withLock { $0 } }

    /// - Parameters:
    ///   - model: the model's path
    ///   - file: path of the file in which it may suggest settings
    /// - Returns: the file's text when it was first read; nil if there was none
    /// - Throws: `InputError` if it cannot be read
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

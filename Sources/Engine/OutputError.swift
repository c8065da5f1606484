/// A result that could not be written: a full disk, a folder that disappeared.
package struct OutputError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file that was to be written.
    package let path: String
    /// What went wrong.
    package let reason: String

    package init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String { "\(path) could not be written: \(reason)" }
}

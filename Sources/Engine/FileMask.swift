import Foundation

/// The permissions that this process's umask leaves to new files.
///
/// `umask` tells the mask only by replacing it, and it belongs to the whole process: two threads that ask at
/// the same time may leave it at 0, and a third makes a file that everybody can write. So it is read from the
/// kernel's account of the process, once.
package enum FileMask {
    /// Of a file that anybody may read and write but for the mask.
    package static let mode: mode_t = 0o666 & ~(told ?? 0o077)

    private static var told: mode_t? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
            return nil
        }
        return text.split(separator: "\n").first { $0.hasPrefix("Umask:") }
            .flatMap { mode_t($0.dropFirst(6).trimmingCharacters(in: .whitespaces), radix: 8) }
    }
}

import Foundation

/// The permissions of new files under this process's umask.
///
/// `umask()` returns the mask only by replacing it, and it belongs to the whole process: if two threads call it at
/// the same time, it may stay 0, and files that a third thread creates become world-writable. So it is read
/// once from /proc.
package enum FileMask {
    /// Mode 0666 less the umask.
    package static let mode: mode_t = 0o666 & ~(current ?? 0o077)

    private static var current: mode_t? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
            return nil
        }
        return text.split(separator: "\n").first { $0.hasPrefix("Umask:") }
            .flatMap { mode_t($0.dropFirst(6).trimmingCharacters(in: .whitespaces), radix: 8) }
    }
}

import Foundation

/// The kind of file at a path, following symbolic links.
package enum FileKind: Equatable, Sendable {
    case regular
    case folder
    /// A pipe, a socket or a device.
    case special

    /// - Parameter path: the path; the result is nil if nothing exists there
    package init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFREG: self = .regular
        case S_IFDIR: self = .folder
        default: self = .special
        }
    }
}

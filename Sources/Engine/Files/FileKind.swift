import Foundation

/// What exists at a path, following links.
package enum FileKind: Equatable, Sendable {
    case regular
    case folder
    /// A pipe, a socket or a device.
    case special

    /// - Parameter path: nil if nothing exists there
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

import Foundation

/// What stands at a path, links followed.
package enum FileKind: Equatable, Sendable {
    case regular
    case folder
    /// A pipe, a socket or a device.
    case special

    /// - Parameter path: nil where there is nothing at it
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

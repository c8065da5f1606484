import Engine
import Foundation
import Glibc

/// A directory that only this user can enter, for the socket of one render.
package final class PrivateDirectory: Sendable {
    private static let prefix = "tessera-"
    private static let socketName = "coordinator"

    /// Where the coordinator listens.
    package let endpoint: Endpoint
    private let path: String

    /// Creates one under `$XDG_RUNTIME_DIR`, or under /tmp if that is not set or its path is too
    /// long for a socket.
    ///
    /// - Throws: `InputError` when neither can be written
    package init() throws(InputError) {
        let runtime = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"]
        for base in [runtime, "/tmp"].compactMap(\.self) where base.utf8.count <= 60 {
            Self.sweep(base)
            var template = Array("\(base)/\(Self.prefix)XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { continue }
            path = String(
                decoding: template.dropLast().map { UInt8(bitPattern: $0) },
                as: UTF8.self
            )
            endpoint = try Endpoint("ipc://\(path)/\(Self.socketName)")
            return
        }
        throw InputError(
            "/tmp",
            "no private directory can be created",
            code: errno,
            fix: "Make /tmp writable, or set XDG_RUNTIME_DIR to a directory of your own"
        )
    }

    /// Removes the socket and the directory.
    package func remove() { Self.remove(socket: "\(path)/\(Self.socketName)") }

    /// Removes a socket and its directory, if this type created them.
    package static func remove(socket: String) {
        let directory = (socket as NSString).deletingLastPathComponent
        guard (socket as NSString).lastPathComponent == socketName,
            (directory as NSString).lastPathComponent.hasPrefix(prefix)
        else { return }
        unlink(socket)
        rmdir(directory)
    }

    /// Removes this user's directories whose processes were all killed: nobody listens at their sockets.
    private static func sweep(_ base: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        for name in names where name.hasPrefix(prefix) && name.count == prefix.count + 6 {
            let socket = "\(base)/\(name)/\(socketName)"
            var status = stat()
            guard lstat(socket, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK,
                status.st_uid == getuid(),
                // Between creating a socket and listening nobody listens either.
                time(nil) - status.st_mtim.tv_sec > 60, !UnixListener.exists(socket)
            else { continue }
            remove(socket: socket)
        }
    }

    deinit { remove() }
}

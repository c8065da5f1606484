import Engine
import Foundation
import Glibc

/// A directory that only this user can enter, for the socket of one render.
package final class PrivateDirectory: Sendable {
    private static let prefix = "tessera-"
    private static let socketName = "coordinator"

    /// The endpoint on which the coordinator listens.
    package let endpoint: Endpoint
    private let path: String
    /// The open directory, locked for as long as this process needs it.
    private let lock: FileLock

    /// Creates one under `$XDG_RUNTIME_DIR`, or under /tmp if that is not set or its path is too long for a socket.
    ///
    /// - Throws: `InputError` if neither is writable
    package init() throws(InputError) {
        let runtime = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"]
        for base in [runtime, "/tmp"].compactMap(\.self) where base.utf8.count <= 60 {
            Self.sweep(base)
            var template = Array("\(base)/\(Self.prefix)XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { continue }
            let made = String(
                decoding: template.dropLast().map { UInt8(bitPattern: $0) },
                as: UTF8.self
            )
            guard let lock = Self.lock(made) else {
                rmdir(made)
                continue
            }
            (path, self.lock) = (made, lock)
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

    /// Removes this user's directories of processes that were killed: nobody holds their locks.
    private static func sweep(_ base: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        for name in names where name.hasPrefix(prefix) && name.count == prefix.count + 6 {
            let directory = "\(base)/\(name)"
            var status = stat()
            guard lstat(directory, &status) == 0, status.st_uid == getuid(),
                // A new directory is not locked yet.
                time(nil) - status.st_mtim.tv_sec > 60, lock(directory) != nil
            else { continue }
            remove(socket: "\(directory)/\(socketName)")
        }
    }

    /// - Returns: nil if another process holds the lock, or if that is uncertain
    private static func lock(_ directory: String) -> FileLock? {
        let taken = InputError(directory, "it is another process's", fix: "Use another one")
        return try? FileLock(folder: directory, fix: taken.remedy, taken: taken)
    }

    deinit { remove() }
}

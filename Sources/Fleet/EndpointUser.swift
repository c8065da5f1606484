import Engine
import Foundation
import Glibc
import Protocol

/// Who listens at an endpoint, as far as that can be known on this host.
package struct EndpointUser: Equatable, Sendable {
    /// The process; nil if it is hidden from this user.
    package var process: Int32?
    /// Name of its user.
    package var user: String
    /// Name of its program, as far as it is known.
    package var program: String?
    /// What it tells of itself, if it is Tessera.
    package var note: EndpointNote?

    package init(user: String) {
        self.user = user
    }

    /// In words: "user anna's render lake-1 (process 4711), 41 %, phase 2 of 3".
    package var description: String {
        let number = (note?.process.id ?? process).map { "process \($0)" }
        if let note {
            let parts = [note.work, number.map { "(\($0))" }].compactMap(\.self)
            let name = parts.joined(separator: " ")
            return "user \(user)'s \(name)" + (note.progress.map { ", \($0)," } ?? "")
        }
        let parts = [program, number].compactMap(\.self)
        return "user \(user)'s " + (parts.isEmpty ? "process" : parts.joined(separator: ", "))
    }

    /// Finds the process that listens on a port of this host.
    ///
    /// - Returns: nil for an endpoint without a port, or where nobody listens
    package static func find(_ endpoint: Endpoint) -> EndpointUser? {
        guard let port = endpoint.port else { return nil }
        for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            guard let (owner, inode) = listener(text, port: port) else { continue }
            var user = EndpointUser(user: name(of: owner))
            user.note = EndpointNote.read(port: port, owner: owner)
            if let process = holder(of: inode) {
                user.process = process
                let command = try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)
                user.program = command?.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            return user
        }
        return nil
    }

    /// The user id and the socket's inode of the listener on a port, from the text of /proc/net/tcp.
    package static func listener(_ text: String, port: UInt16) -> (owner: uid_t, inode: UInt64)? {
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            // 0A is the state LISTEN; addresses and ports are hexadecimal.
            guard fields.count > 9, fields[3] == "0A",
                let digits = fields[1].split(separator: ":").last,
                UInt16(digits, radix: 16) == port,
                let owner = uid_t(fields[7]), let inode = UInt64(fields[9])
            else { continue }
            return (owner, inode)
        }
        return nil
    }

    /// The process that has a socket open: of other users' only root sees it.
    private static func holder(of inode: UInt64) -> Int32? {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let wanted = "socket:[\(inode)]"
        return all.lazy.compactMap { Int32($0) }.first { id in
            let folder = "/proc/\(id)/fd"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.contains { name in
                let link = try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "\(folder)/\(name)"
                )
                return link == wanted
            }
        }
    }

    private static func name(of id: uid_t) -> String {
        guard let entry = getpwuid(id) else { return "\(id)" }
        return String(cString: entry.pointee.pw_name)
    }
}

/// What a coordinator tells other users of its host about itself: a small file that everybody may read. It has the port
/// and the user in its name, and is believed only if that user owns it and listens on the port.
package struct EndpointNote: Codable, Equatable, Sendable {
    package var process: ProcessIdentity
    /// What it does, in a few words.
    package var work: String
    /// How far it is.
    package var progress: String?

    package init(process: ProcessIdentity, work: String, progress: String? = nil) {
        (self.process, self.work, self.progress) = (process, work, progress)
    }

    private static let largest = 4096

    private static func path(port: UInt16, owner: uid_t) -> String {
        "/tmp/tessera-\(port)-\(owner).json"
    }

    static func read(port: UInt16, owner: uid_t) -> EndpointNote? {
        let path = path(port: port, owner: owner)
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == owner, status.st_size <= largest
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: largest)
        let count = Glibc.read(file, &bytes, largest)
        guard count > 0,
            var note = try? JSONDecoder().decode(EndpointNote.self, from: Data(bytes[..<count])),
            note.process.isAlive
        else { return nil }
        note.work = printable(note.work, limit: 80)
        note.progress = note.progress.map { printable($0, limit: 80) }
        return note
    }

    /// Only informative: where it cannot be written, others are told less.
    func write(port: UInt16) {
        let path = Self.path(port: port, owner: getuid())
        guard let data = try? JSONEncoder().encode(self), data.count <= Self.largest,
            let file = try? TemporaryFile(for: path)
        else { return }
        _ = fchmod(file.descriptor, 0o644)
        guard (try? file.write(Array(data))) != nil else { return }
        try? file.commit()
    }

    static func remove(port: UInt16) { unlink(path(port: port, owner: getuid())) }
}

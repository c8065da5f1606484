import Coordinator
import Engine
import Foundation
import Glibc
import Protocol

/// Who is listening on an endpoint, as far as that can be determined on this host.
package struct EndpointUser: Equatable, Sendable {
    /// The process; nil if it is hidden from this user.
    package var process: Int32?
    /// Name of its user.
    package var user: String
    /// Name of its program, if known.
    package var program: String?
    /// What it says about itself, if it is Tessera.
    package var note: EndpointNote?

    package init(user: String) {
        self.user = user
    }

    /// As text: "user anna's render lake-1 (process 4711), 41 %, phase 2 of 3".
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

    /// Finds the process of this host that is listening on an endpoint.
    ///
    /// - Returns: nil if nobody is listening
    package static func find(_ endpoint: Endpoint) -> EndpointUser? {
        guard let (owner, inode) = listener(endpoint) else { return nil }
        var user = EndpointUser(user: name(of: owner))
        if let process = holder(of: inode) {
            user.process = process
            let command = try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)
            user.program = command?.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        user.note = EndpointNote.all(at: endpoint, owner: owner)
            .first { user.process == nil || $0.process.id == user.process }
        return user
    }

    private static func listener(_ endpoint: Endpoint) -> (owner: uid_t, inode: UInt64)? {
        func text(_ path: String) -> String {
            (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        }
        if let path = endpoint.path { return unixListener(text("/proc/net/unix"), path: path) }
        guard let port = endpoint.port else { return nil }
        return listener(text("/proc/net/tcp"), port: port, host: endpoint.host)
            ?? listener(text("/proc/net/tcp6"), port: port)
    }

    /// Owner and inode of the socket that is listening on a path, from the contents of /proc/net/unix.
    private static func unixListener(
        _ text: String,
        path: String
    ) -> (owner: uid_t, inode: UInt64)? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        for line in text.split(separator: "\n").dropFirst() where line.hasSuffix(" \(path)") {
            let fields = line.split(separator: " ")
            // The flag 0x10000 marks a socket that accepts connections.
            guard fields.count > 7, let flags = UInt32(fields[3], radix: 16), flags & 0x10000 != 0,
                let inode = UInt64(fields[6])
            else { continue }
            return (status.st_uid, inode)
        }
        return nil
    }

    /// User id and socket inode of a listener, from the contents of /proc/net/tcp.
    ///
    /// - Parameters:
    ///   - text: contents of the file
    ///   - port: the port that it listens on
    ///   - host: the IPv4 address that it listens on, which also matches listeners on all addresses; anything else
    ///     matches any address
    /// - Returns: nil if nobody is listening
    package static func listener(
        _ text: String,
        port: UInt16,
        host: String? = nil
    ) -> (owner: uid_t, inode: UInt64)? {
        // The file shows the address's four bytes as a number in this machine's byte order.
        var binary = in_addr()
        let wanted: UInt32? =
            host.map { inet_pton(AF_INET, $0, &binary) == 1 } == true && binary.s_addr != 0
            ? binary.s_addr : nil
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            // 0A is the state LISTEN; addresses and ports are hexadecimal.
            guard fields.count > 9, fields[3] == "0A",
                let digits = fields[1].split(separator: ":").last,
                UInt16(digits, radix: 16) == port,
                let place = UInt32(fields[1].prefix(8), radix: 16),
                wanted == nil || place == 0 || place == wanted,
                let owner = uid_t(fields[7]), let inode = UInt64(fields[9])
            else { continue }
            return (owner, inode)
        }
        return nil
    }

    /// The process that has a socket open; only root can see those of other users.
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

extension ClusterFile {
    /// The relay that is listening on the endpoint of the file's coordinator, if there is one.
    package var relay: EndpointUser? {
        guard let text = coordinator.endpoint,
            let endpoint = try? Endpoint(text, reach: .network),
            let user = EndpointUser.find(endpoint), user.note?.isRelay == true
        else { return nil }
        return user
    }

    /// - Parameters:
    ///   - path: path of this cluster file
    ///   - command: the command, which needs a coordinator's file
    /// - Throws: `ClusterUnavailable` if a relay is listening
    package func refuseRelay(_ path: String, _ command: String) throws {
        guard let relay else { return }
        throw ClusterUnavailable(
            "\(path): \(relay.description) listens here, and \(command) is for a coordinator's file. "
                + "Run it where the coordinator is; tessera cluster status shows this relay's workers"
        )
    }
}

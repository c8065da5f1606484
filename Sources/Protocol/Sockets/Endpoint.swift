import Engine
import Glibc

/// An address: `ipc://`, TCP on the loopback interface or, where allowed, TCP on the network.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The address in ZeroMQ's format.
    package let address: String
    /// The proxy through which it is reached; see `through`.
    package internal(set) var proxy: SocksProxy?

    /// Maximum length of a Unix socket's path, in bytes.
    private static let maxPathLength = 107

    /// Wraps an address reported by ZeroMQ, without validation. On a socket that also supports IPv6, ZeroMQ writes
    /// 127.0.0.1 as [::ffff:127.0.0.1], which is converted back.
    init(checked address: String) {
        let mapped = "tcp://[::ffff:"
        self.address =
            address.hasPrefix(mapped)
            ? "tcp://"
                + address.dropFirst(mapped.count).replacing("]", with: "", maxReplacements: 1)
            : address
    }

    /// How far an endpoint may reach.
    package enum Reach: Sendable {
        /// Messages stay on this machine.
        case thisMachine
        /// Messages may leave this machine: they are encrypted, or the user stated that they need not be.
        case network
    }

    /// Validates an address. Names are resolved here, so that the address that is checked is the one that is used.
    ///
    /// - Parameters:
    ///   - text: `ipc:///path` or `tcp://HOST:PORT`; to listen on all interfaces, HOST is `*`, 0.0.0.0 or [::]
    ///   - reach: the allowed range
    ///   - keys: how to supply keys, for the error message when encryption is required
    /// - Throws: `InputError` if the address is invalid or out of the allowed range
    package init(
        _ text: String,
        reach: Reach = .thisMachine,
        keys: String = "with --keys"
    ) throws(InputError) {
        if let path = text.dropping(prefix: "ipc://") {
            address = try Self.ipc(path, in: text)
        } else if let rest = text.dropping(prefix: "tcp://") {
            address = try Self.tcp(rest, in: text, reach, keys)
        } else {
            throw InputError(
                text,
                "this is not an endpoint",
                fix: "Use tcp://127.0.0.1:PORT or ipc:///path/to/a/socket"
            )
        }
    }

    /// The path, if it is an `ipc://` endpoint.
    package var path: String? { address.dropping(prefix: "ipc://") }

    /// The port, if it is a TCP endpoint.
    package var port: UInt16? {
        guard path == nil else { return nil }
        return address.split(separator: ":").last.flatMap { UInt16($0) }
    }

    /// The host of a TCP endpoint, as written.
    package var host: String? {
        address.dropping(prefix: "tcp://").flatMap { rest in
            rest.lastIndex(of: ":").map { String(rest[..<$0]) }
        }
    }

    package var description: String { address }

    private static func ipc(_ path: String, in text: String) throws(InputError) -> String {
        guard path.hasPrefix("/") else {
            throw InputError(
                text,
                "the path of the socket is not absolute",
                fix: "Write ipc:///path/to/a/socket"
            )
        }
        guard path.utf8.count <= maxPathLength else {
            throw InputError(
                text,
                "the path has \(path.utf8.count) bytes; a socket's has at most \(maxPathLength)",
                fix: "Choose a shorter directory"
            )
        }
        guard !path.utf8.contains(0) else {
            throw InputError(text, "the path contains a zero byte", fix: "Correct the path")
        }
        return "ipc://" + path
    }

    private static func tcp(
        _ rest: String,
        in text: String,
        _ reach: Reach,
        _ keys: String
    ) throws(InputError) -> String {
        guard let colon = rest.lastIndex(of: ":"),
            let port = UInt16(rest[rest.index(after: colon)...])
        else {
            throw InputError(text, "there is no port", fix: "Write tcp://127.0.0.1:PORT")
        }
        var host = String(rest[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else {
            throw InputError(text, "there is no host", fix: "Write tcp://127.0.0.1:PORT")
        }
        // ZeroMQ would also accept names of network interfaces, so those are never passed on.
        let numbers =
            host == "*"
            ? [Address(text: "0.0.0.0", isLoopback: false)] : try resolve(host, in: text)
        guard let first = numbers.first else {
            throw InputError(text, "'\(host)' has no address", fix: "Write an address")
        }
        guard reach == .network || numbers.allSatisfy(\.isLoopback) else {
            throw InputError(
                text,
                "it reaches beyond this machine, and that needs CURVE keys",
                fix: "Make keys with tessera keys new and give them \(keys), or use the "
                    + "loopback interface, as in tcp://127.0.0.1:\(port)"
            )
        }
        return "tcp://\(first.text):\(port)"
    }

    private struct Address {
        let text: String
        let isLoopback: Bool
    }

    /// All addresses that a name resolves to.
    private static func resolve(_ host: String, in text: String) throws(InputError) -> [Address] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            throw InputError(
                text,
                "'\(host)' is not known (\(String(cString: gai_strerror(status))))",
                fix: "Correct the name, or write an address such as 127.0.0.1"
            )
        }
        defer { freeaddrinfo(list) }
        var found: [Address] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr { found.append(contentsOf: Self.read(address)) }
            next = entry.ai_next
        }
        return found
    }

    private static func read(_ address: UnsafeMutablePointer<sockaddr>) -> [Address] {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { v4 in
                let bits = UInt32(bigEndian: v4.pointee.sin_addr.s_addr)
                let parts = [24, 16, 8, 0].map { String(bits >> UInt32($0) & 255) }
                return [Address(text: parts.joined(separator: "."), isLoopback: bits >> 24 == 127)]
            }
        case AF_INET6:
            address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
                let bytes = withUnsafeBytes(of: v6.pointee.sin6_addr) { Array($0) }
                let loopback = bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
                var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
                inet_ntop(AF_INET6, &v6.pointee.sin6_addr, &text, socklen_t(text.count))
                return [Address(text: "[\(String(zeroEnded: text))]", isLoopback: loopback)]
            }
        default:
            []
        }
    }
}

extension String {
    fileprivate func dropping(prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}

import Engine
import Glibc

/// An address that the policy allows: `ipc://` or TCP on the loopback interface.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// As ZeroMQ takes it.
    package let address: String

    /// Longest path of a Unix socket, in bytes.
    private static let longestPath = 107

    /// Takes an address that needs no check, as ZeroMQ reported it: on a socket that speaks IPv6 too
    /// it writes 127.0.0.1 as [::ffff:127.0.0.1], which is put back.
    init(checked address: String) {
        let mapped = "tcp://[::ffff:"
        self.address =
            address.hasPrefix(mapped)
            ? "tcp://"
                + address.dropFirst(mapped.count).replacing("]", with: "", maxReplacements: 1)
            : address
    }

    /// Checks an address; names are resolved here, so that what is checked is what is used.
    ///
    /// - Throws: `InputError` for anything but a path or the loopback interface
    package init(_ text: String) throws(InputError) {
        if let path = text.dropping(prefix: "ipc://") {
            address = try Self.ipc(path, in: text)
        } else if let rest = text.dropping(prefix: "tcp://") {
            address = try Self.tcp(rest, in: text)
        } else {
            throw InputError(
                text,
                "this is not an endpoint",
                fix: "Write tcp://127.0.0.1:PORT or ipc:///path/to/a/socket"
            )
        }
    }

    /// The path, if it is an `ipc://` endpoint.
    package var path: String? { address.dropping(prefix: "ipc://") }

    package var description: String { address }

    private static func ipc(_ path: String, in text: String) throws(InputError) -> String {
        guard path.hasPrefix("/") else {
            throw InputError(
                text,
                "the path of the socket is not absolute",
                fix: "Write ipc:///path/to/a/socket"
            )
        }
        guard path.utf8.count <= longestPath else {
            throw InputError(
                text,
                "the path has \(path.utf8.count) bytes; a socket's has at most \(longestPath)",
                fix: "Choose a shorter directory"
            )
        }
        guard !path.utf8.contains(0) else {
            throw InputError(text, "the path contains a zero byte", fix: "Correct the path")
        }
        return "ipc://" + path
    }

    private static func tcp(_ rest: String, in text: String) throws(InputError) -> String {
        guard let colon = rest.lastIndex(of: ":"),
            let port = UInt16(rest[rest.index(after: colon)...])
        else {
            throw InputError(text, "there is no port", fix: "Write tcp://127.0.0.1:PORT")
        }
        var host = String(rest[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let beyond = InputError(
            text,
            "it reaches beyond this machine, and that needs CURVE keys",
            fix: "Use the loopback interface, as in tcp://127.0.0.1:\(port)"
        )
        // ZeroMQ also takes the names of network interfaces and "*": never pass those on.
        guard !host.isEmpty, host != "*" else { throw beyond }
        let numbers = try resolve(host, in: text)
        guard let first = numbers.first, numbers.allSatisfy(\.isLoopback) else { throw beyond }
        return "tcp://\(first.text):\(port)"
    }

    private struct Address {
        let text: String
        let isLoopback: Bool
    }

    /// Every address of a name.
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
                return [Address(text: "[::1]", isLoopback: loopback)]
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

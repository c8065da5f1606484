import Engine

/// A SOCKS5 proxy through which a worker reaches its coordinator.
package struct SocksProxy: Hashable, Sendable, CustomStringConvertible {
    /// The address, as `HOST:PORT`.
    package let address: String
    /// The host without brackets, and the port as text.
    let (host, port): (String, String)

    /// - Throws: `InputError` for anything but `HOST:PORT`
    package init(_ text: String) throws(InputError) {
        let colon = text.lastIndex(of: ":")
        let host = colon.map { text[..<$0] } ?? ""
        let port = colon.flatMap { UInt16(text[text.index(after: $0)...]) } ?? 0
        let isHarmless = host.utf8.allSatisfy { byte in
            byte > 32 && byte < 127 && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "@")
        }
        guard !host.isEmpty, port > 0, isHarmless, text.utf8.count <= 255 else {
            throw InputError(
                text,
                "this is not the address of a SOCKS proxy",
                fix: "Write HOST:PORT, for example 127.0.0.1:1080"
            )
        }
        address = text
        self.host =
            host.hasPrefix("[") && host.hasSuffix("]")
            ? String(host.dropFirst().dropLast()) : String(host)
        self.port = "\(port)"
    }

    package var description: String { address }
}

extension Endpoint {
    /// The same endpoint, reached through a proxy.
    ///
    /// - Parameters:
    ///   - proxy: the proxy; nil for none
    ///   - reach: the allowed range; traffic through a proxy always leaves this machine, whatever its address
    /// - Returns: the endpoint
    /// - Throws: `InputError` for a Unix socket, and if traffic is not encrypted
    package func through(_ proxy: SocksProxy?, reach: Reach) throws(InputError) -> Endpoint {
        guard let proxy else { return self }
        guard path == nil else {
            throw InputError(
                address,
                "a SOCKS proxy carries TCP only",
                fix: "Connect to tcp://HOST:PORT"
            )
        }
        guard reach == .network else {
            throw InputError(
                proxy.address,
                "what goes through a proxy leaves this machine, and that needs CURVE keys",
                fix: "Give this worker keys with --keys and --coordinator-key"
            )
        }
        var endpoint = self
        endpoint.proxy = proxy
        return endpoint
    }
}

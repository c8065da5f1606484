import Engine

/// Where the service can be reached from, and what that requires. Pure.
package struct Exposure: Equatable, Sendable {
    /// Whether it listens for this machine only.
    package let isLoopback: Bool
    package let hasTLS: Bool
    /// Addresses of the reverse proxies in front of it, which encrypt; empty for none.
    package let proxies: [AddressRange]
    /// Origins of web pages whose scripts may use it.
    package let origins: [String]

    package init(
        isLoopback: Bool,
        hasTLS: Bool = false,
        proxies: [AddressRange] = [],
        origins: [String] = []
    ) {
        (self.isLoopback, self.hasTLS) = (isLoopback, hasTLS)
        (self.proxies, self.origins) = (proxies, origins)
    }

    /// Whether a text is an origin as browsers send it: a scheme and a host, perhaps a port, and nothing else.
    package static func isOrigin(_ text: String) -> Bool {
        text.wholeMatch(of: /https?:\/\/[^\/?#@\s]+/) != nil
    }

    /// Whether others than this machine's own programs can reach it.
    package var isPublic: Bool { !isLoopback || !proxies.isEmpty }

    /// Refuses to serve where requests can be read, or anybody can send them.
    ///
    /// - Parameters:
    ///   - address: where it listens, as it was given
    ///   - hasTokens: whether there are tokens
    /// - Throws: `InputError`
    package func check(_ address: String, hasTokens: Bool) throws(InputError) {
        guard isLoopback || hasTLS || !proxies.isEmpty else {
            throw InputError(
                "--listen \(address)",
                "it can be reached from the network, and requests would not be encrypted",
                fix:
                    "Give --tls-certificate and --tls-key, or name the reverse proxy in front of it "
                    + "with --reverse-proxy"
            )
        }
        guard !isPublic || hasTokens else {
            throw InputError(
                "--listen \(address)",
                "it can be reached from the network, and nobody would be asked for a token",
                fix: "Make one first: tessera tokens new --user NAME"
            )
        }
    }

    /// Whether an address is that of a proxy, whose word about a client counts.
    package func isProxy(_ address: String?) -> Bool {
        guard let address else { return false }
        return proxies.contains { $0.contains(address) }
    }

    /// Why a connection is refused; nil if it is not. Without encryption of its own only the proxies may connect.
    package func refusal(from address: String?) -> String? {
        guard !isLoopback, !hasTLS, !isProxy(address) else { return nil }
        return "only the reverse proxy may connect"
    }
}

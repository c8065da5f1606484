import Engine

/// Where the service can be reached from, and what that requires. Pure.
package struct Exposure: Equatable, Sendable {
    /// Whether it only listens on this machine.
    package let isLoopback: Bool
    package let hasTLS: Bool
    /// Addresses of reverse proxies in front of the service, which provide encryption; empty if there are none.
    package let proxies: [AddressRange]
    /// Origins of web pages whose scripts may use the service.
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

    /// Whether a text is an origin as sent by browsers: scheme, host and optional port, nothing else.
    package static func isOrigin(_ text: String) -> Bool {
        text.wholeMatch(of: /https?:\/\/[^\/?#@\s]+/) != nil
    }

    /// Whether it can be reached by anything other than this machine's own programs.
    package var isPublic: Bool { !isLoopback || !proxies.isEmpty }

    /// Refuses to serve if requests could be intercepted, or anybody could send them.
    ///
    /// - Parameters:
    ///   - address: the listening address, as given by the user
    ///   - hasTokens: whether any tokens exist
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

    /// Whether an address is that of a trusted proxy, which reports the client's address.
    package func isProxy(_ address: String?) -> Bool {
        guard let address else { return false }
        return proxies.contains { $0.contains(address) }
    }

    /// Why a connection is refused; nil if it is accepted. Without TLS, only the proxies may connect.
    package func refusal(from address: String?) -> String? {
        guard !isLoopback, !hasTLS, !isProxy(address) else { return nil }
        return "only the reverse proxy may connect"
    }
}

import Glibc

/// A host and an optional port, as people write them: `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. Names are not
/// resolved.
package struct HostPort: Equatable, Sendable {
    /// A name or an address; IPv6 addresses without brackets.
    package let host: String
    /// The port; 0 lets the system choose one, nil if none is given.
    package let port: UInt16?

    /// Maximum length of a name, in bytes (RFC 1035).
    private static let maxName = 253

    /// Returns nil if the text has another form, or the host cannot be a name or an address.
    package init?(_ text: some StringProtocol) {
        var host = text[...]
        var port: UInt16?
        let bracket = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[bracket...].lastIndex(of: ":") {
            let digits = host[host.index(after: colon)...]
            guard let number = UInt16(digits), digits.allSatisfy(\.isNumber) else { return nil }
            port = number
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard Self.isIPv6(String(host)) else { return nil }
        } else {
            guard Self.isName(String(host)) else { return nil }
        }
        (self.host, self.port) = (String(host), port)
    }

    /// The host as in addresses and links, with brackets for IPv6.
    package var written: String { host.contains(":") ? "[\(host)]" : host }

    /// Whether the host is a name or an address of the loopback interface.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.") && Self.isIPv4(host)
    }

    private static func isIPv6(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }

    private static func isIPv4(_ text: String) -> Bool {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    /// Accepts labels of letters, digits, hyphens and underscores, in any script: names are resolved elsewhere. An
    /// asterisk means all interfaces.
    private static func isName(_ text: String) -> Bool {
        if text == "*" { return true }
        guard (1...maxName).contains(text.utf8.count) else { return false }
        // Drops the trailing dot of a fully qualified name.
        let labels = (text.hasSuffix(".") ? text.dropLast() : text[...])
            .split(separator: ".", omittingEmptySubsequences: false)
        // All-numeric labels are an address, and must form a complete one.
        guard !labels.allSatisfy({ $0.allSatisfy { "0"..."9" ~= $0 } }) || isIPv4(text) else {
            return false
        }
        return labels.allSatisfy { label in
            !label.isEmpty && label.first != "-"
                && label.allSatisfy { $0.isLetter || $0.isNumber || "-_".contains($0) }
        }
    }
}

import Engine

/// The address of a service: `http://127.0.0.1:7860`, `https://studio.example/tessera`. Pure.
package struct ServiceAddress: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int
    package let isEncrypted: Bool
    /// Path prefix of the API; empty, or starts with a slash and does not end with one.
    package let prefix: String

    /// The default address of `tessera serve`.
    package static let standard = "http://127.0.0.1:7860"
    private static let standardPort = 7860

    /// - Parameters:
    ///   - text: a URL; the default scheme is `http://`
    ///   - flag: the flag that it came from
    /// - Throws: `InputError` naming the flag
    package init(_ text: String, flag: String) throws(InputError) {
        func fault(_ problem: String) -> InputError {
            InputError("\(flag) \(text)", problem, fix: "Write it as \(Self.standard)")
        }
        var rest = text[...]
        var scheme: Substring?
        if let end = text.range(of: "://") {
            scheme = text[..<end.lowerBound]
            rest = text[end.upperBound...]
        }
        switch scheme?.lowercased() {
        case nil, "http": isEncrypted = false
        case "https": isEncrypted = true
        default: throw fault("'\(scheme ?? "")' is neither http nor https")
        }
        guard !rest.contains(where: { "?#@\\".contains($0) || $0.isWhitespace }) else {
            throw fault("it has more than a host, a port and a path")
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var path = rest[slash...]
        while path.hasSuffix("/") { path.removeLast() }
        prefix = String(path)
        var name = rest[..<slash]
        var port: Int?
        // Colons within brackets belong to an IPv6 address.
        if let colon = name.lastIndex(of: ":"), name[colon...].contains("]") == false {
            guard let number = Int(name[name.index(after: colon)...]), (1...65535).contains(number)
            else { throw fault("its port is not a number from 1 to 65535") }
            port = number
            name = name[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty else { throw fault("the host is missing") }
        host = String(name)
        self.port = port ?? (scheme == nil ? Self.standardPort : isEncrypted ? 443 : 80)
    }

    /// The host in the syntax of URLs.
    private var written: String { host.contains(":") ? "[\(host)]" : host }

    /// Value of the Host header.
    package var authority: String {
        port == (isEncrypted ? 443 : 80) ? written : "\(written):\(port)"
    }

    package var description: String {
        "\(isEncrypted ? "https" : "http")://\(authority)\(prefix)"
    }

    /// Whether the address is this machine's.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    /// Refuses to send a token over an unencrypted connection to another machine.
    ///
    /// - Throws: `InputError`
    package func check(hasToken: Bool, flag: String) throws(InputError) {
        guard !hasToken || isEncrypted || isLoopback else {
            throw InputError(
                "\(flag) \(self)",
                "the token would be sent without encryption",
                fix: "Use https://, or a tunnel to this machine (ssh -L 7860:localhost:7860)"
            )
        }
    }
}

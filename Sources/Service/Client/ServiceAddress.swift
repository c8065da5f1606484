import Engine

/// Where a service is reached: `http://127.0.0.1:7860`, `https://studio.example/tessera`. Pure.
package struct ServiceAddress: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int
    package let isEncrypted: Bool
    /// What stands before the API's own paths; empty, or it begins with a slash and does not end in one.
    package let prefix: String

    /// Where `tessera serve` listens unless it is told otherwise.
    package static let standard = "http://127.0.0.1:7860"
    private static let standardPort = 7860

    /// - Parameters:
    ///   - text: a URL; without a scheme, `http://` is meant
    ///   - flag: that it came with
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
        // The colons of an IPv6 address stand in brackets.
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

    /// The host as URLs have it.
    private var written: String { host.contains(":") ? "[\(host)]" : host }

    /// The header Host.
    package var authority: String {
        port == (isEncrypted ? 443 : 80) ? written : "\(written):\(port)"
    }

    package var description: String {
        "\(isEncrypted ? "https" : "http")://\(authority)\(prefix)"
    }

    /// Whether it is this machine.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    /// Refuses to send a token where anybody on the way could read it.
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

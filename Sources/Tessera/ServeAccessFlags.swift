import ArgumentParser
import Engine
import Service

/// Flags for who may use the service, and from where.
struct ServeAccessFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Certificate for HTTPS, with those that it was signed with.",
            valueName: "pem"
        ),
        completion: .file(extensions: ["pem", "crt"])
    )
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp("Private key of the certificate.", valueName: "pem"),
        completion: .file(extensions: ["pem", "key"])
    )
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Address, or range of addresses, of a reverse proxy in front of the service that encrypts; may be "
                + "repeated. Without a certificate only these may connect from the network.",
            valueName: "ip[/bits]"
        )
    )
    var reverseProxy: [String] = []

    @Option(
        help: ArgumentHelp(
            "Origin of web pages whose scripts may use the service; may be repeated. (default: none)",
            valueName: "https://host"
        )
    )
    var allowOrigin: [String] = []

    /// - Throws: `InputError` if a file is missing or cannot be used
    func tls() throws(InputError) -> ServerTLS? {
        switch (tlsCertificate, tlsKey) {
        case (nil, nil): return nil
        case (let certificate?, let key?):
            return try ServerTLS(certificate: certificate, key: key)
        case (_?, nil):
            throw InputError("--tls-certificate", "its key is missing", fix: "Give --tls-key, too")
        case (nil, _?):
            throw InputError(
                "--tls-key",
                "its certificate is missing",
                fix: "Give --tls-certificate, too"
            )
        }
    }

    /// - Throws: `InputError` for a proxy that is not a valid address, or an invalid origin
    func exposure(isLoopback: Bool, hasTLS: Bool) throws(InputError) -> Exposure {
        var proxies: [AddressRange] = []
        for text in reverseProxy {
            proxies.append(try AddressRange(text, flag: "--reverse-proxy"))
        }
        for origin in allowOrigin {
            guard Exposure.isOrigin(origin) else {
                throw InputError(
                    "--allow-origin \(origin)",
                    "it is not an origin",
                    fix: "Write it as browsers do, such as https://studio.example"
                )
            }
        }
        return Exposure(
            isLoopback: isLoopback,
            hasTLS: hasTLS,
            proxies: proxies,
            origins: allowOrigin
        )
    }
}

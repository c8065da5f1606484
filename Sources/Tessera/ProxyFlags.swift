import ArgumentParser
import Engine
import Protocol

/// Flags for reaching a coordinator through a proxy.
struct ProxyFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Reach the coordinator through this SOCKS5 proxy, for example one of ssh -D; none for a direct connection. "
                + "(default: for tessera join the one that it joined through)",
            valueName: "host:port"
        )
    )
    var socksProxy: String?

    /// The value that forces a direct connection.
    private static let none = "none"

    /// - Parameter remembered: the HOST:PORT to use if the flag is not given
    /// - Returns: nil for a direct connection
    /// - Throws: `InputError` if the value is not HOST:PORT
    func proxy(remembered: String? = nil) throws(InputError) -> SocksProxy? {
        guard let text = socksProxy ?? remembered, text != Self.none else { return nil }
        return try SocksProxy(text)
    }
}

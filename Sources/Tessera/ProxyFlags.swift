import ArgumentParser
import Engine
import Protocol

/// The way to a coordinator that cannot be reached directly.
struct ProxyFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Reach the coordinator through this SOCKS5 proxy, for example one of ssh -D; none for a direct connection. "
                + "(default: for tessera join the one that it joined through)",
            valueName: "host:port"
        )
    )
    var socksProxy: String?

    /// Asks for a direct connection.
    private static let none = "none"

    /// - Parameter remembered: HOST:PORT to use where the flag is not given
    /// - Returns: nil for a direct connection
    /// - Throws: `InputError` for anything but HOST:PORT
    func proxy(remembered: String? = nil) throws(InputError) -> SocksProxy? {
        guard let text = socksProxy ?? remembered, text != Self.none else { return nil }
        return try SocksProxy(text)
    }
}

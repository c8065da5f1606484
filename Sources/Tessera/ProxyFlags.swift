import ArgumentParser
import Engine
import Protocol

/// The way to a coordinator that cannot be reached directly.
struct ProxyFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Reach the coordinator through this SOCKS5 proxy, for example one of ssh -D.",
            valueName: "host:port"
        )
    )
    var socksProxy: String?

    /// - Throws: `InputError` for anything but HOST:PORT
    func proxy() throws(InputError) -> SocksProxy? {
        try socksProxy.map { text throws(InputError) in try SocksProxy(text) }
    }

    /// The same flag for another command line.
    var arguments: [String] { socksProxy.map { ["--socks-proxy", $0] } ?? [] }
}

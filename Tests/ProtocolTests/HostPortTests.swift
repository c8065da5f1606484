import Protocol
import Testing

@Suite struct HostPortTests {
    @Test(
        arguments: [
            ("studio", "studio", nil), ("studio:7551", "studio", 7551),
            ("a-b.example.org.:1", "a-b.example.org.", 1), ("192.168.1.10:0", "192.168.1.10", 0),
            ("[::1]", "[::1]", nil), ("[fe80::1]:65535", "[fe80::1]", 65535), ("*:1", "*", 1),
            ("büro:80", "büro", 80),
        ] as [(String, String, UInt16?)]
    )
    func hostsAndPortsAreRead(text: String, host: String, port: UInt16?) {
        let place = HostPort(text)
        #expect(place?.written == host && place?.port == port, "\(String(describing: place))")
    }

    @Test(arguments: [
        "", ":1", "::1", "::1:80", "[::1", "[x]:1", "[127.0.0.1]:1", "a b", "a#b", "user@host",
        "/x",
        "host:65536", "host:-1", "host:+1", "host:", "host:1 ", "a..b", "-a", "1.2.3", "256.1.1.1",
        String(repeating: "a", count: 254),
    ])
    func anythingElseIsNone(text: String) { #expect(HostPort(text) == nil) }

    @Test func onlyTheLoopbackInterfaceIsThisMachine() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
            #expect(HostPort(host)?.isLoopback == true, "\(host)")
        }
        for host in ["127.example.org", "0.0.0.0", "[::]", "*", "studio"] {
            #expect(HostPort(host)?.isLoopback == false, "\(host)")
        }
    }
}

import Engine
import Service
import Testing

/// What the terminal commands know about a service. Pure functions.
@Suite struct ClientTests {
    @Test(arguments: [
        ("http://127.0.0.1:7860", "127.0.0.1", 7860, "", "127.0.0.1:7860"),
        ("studio", "studio", 7860, "", "studio:7860"),
        ("studio:80", "studio", 80, "", "studio"),
        ("https://studio.example/tessera/", "studio.example", 443, "/tessera", "studio.example"),
        ("HTTPS://a:8443", "a", 8443, "", "a:8443"),
        ("http://[::1]:9", "::1", 9, "", "[::1]:9"),
        ("[fd00::2]", "fd00::2", 7860, "", "[fd00::2]:7860"),
    ])
    func readsAddresses(
        text: String,
        host: String,
        port: Int,
        prefix: String,
        authority: String
    ) throws {
        let address = try ServiceAddress(text, flag: "--server")
        #expect(address.host == host && address.port == port && address.prefix == prefix)
        #expect(address.authority == authority)
        #expect(try ServiceAddress("\(address)", flag: "--server") == address)
    }

    @Test(arguments: [
        "", "http://", "ftp://a", "http://a:0", "http://a:99999", "a b", "http://user@a", "a?b",
        "a#b",
        "a\r\nX: y",
    ])
    func refusesOthers(text: String) {
        #expect(throws: InputError.self) { try ServiceAddress(text, flag: "--server") }
    }

    /// A token never leaves this machine unencrypted.
    @Test func keepsTokensPrivate() throws {
        for (text, isAllowed) in [
            ("http://localhost:1", true), ("http://127.0.0.2", true), ("https://studio", true),
            ("http://studio", false), ("10.0.0.1", false),
        ] {
            let address = try ServiceAddress(text, flag: "--server")
            try address.check(hasToken: false, flag: "--server")
            #expect(
                ((try? address.check(hasToken: true, flag: "--server")) != nil) == isAllowed,
                "\(text)"
            )
        }
    }

    @Test func readsEventsInAnyPieces() throws {
        let text =
            "id: 1\nevent: state\ndata: {\"state\":\"done\"}\n\n: a remark\r\n\r\nevent: alive\ndata: {}\n\n"
        for size in [1, 2, 7, 1000] {
            var reader = EventStreamReader()
            var (events, rest): ([EventStreamReader.Event], [UInt8]) = ([], Array(text.utf8))
            while !rest.isEmpty {
                events += try reader.take(rest.prefix(size))
                rest = Array(rest.dropFirst(size))
            }
            #expect(events.map(\.kind) == ["state", "alive"])
            #expect(events.first?.data.object?["state"]?.string == "done")
        }
        var reader = EventStreamReader()
        #expect(throws: InputError.self) {
            while true { _ = try reader.take([UInt8](repeating: 65, count: 1 << 16)) }
        }
    }

    @Test func saysWhatARefusalMeans() throws {
        let address = try ServiceAddress("studio", flag: "--server")
        let body = Array(#"{"error":{"message":"the limit 'jobs' is 3","code":"limit"}}"#.utf8)
        let later = ServiceClientError(status: 429, body: body, from: address)
        #expect(later.isTemporary && "\(later)".contains("the limit 'jobs' is 3"))
        let foreign = ServiceClientError(status: 404, body: Array("<html>".utf8), from: address)
        #expect(!foreign.isTemporary && "\(foreign)".contains("http://studio:7860"))
    }

    @Test func knowsTheMethodsOfPaths() {
        let paths = KnownPaths([
            ("/jobs", "GET"), ("/jobs", "POST"), ("/jobs/{id}", "DELETE"), ("/v1/**", "OPTIONS"),
            ("/jobs/{id}/cancel", "POST"),
        ])
        #expect(paths.methods(of: "/jobs") == ["GET", "POST"])
        #expect(paths.methods(of: "/jobs/abc") == ["DELETE"])
        #expect(paths.methods(of: "/jobs/abc/cancel") == ["POST"])
        for path in ["/", "/job", "/jobs/a/b", "/v1/x", ""] {
            #expect(paths.methods(of: path).isEmpty, "\(path)")
        }
    }
}

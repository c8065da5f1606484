import Engine
import Fleet
import Foundation
import TestSupport
import Testing

@Suite struct LANServiceTests {
    /// As avahi-browse 0.8 printed it, for a name and a model with every kind of quotation mark.
    private let line =
        #"=;w0;IPv4;Tessera\059\032on\032\034de\\sk\034\.\195\169;_tessera._tcp;local;desk.local;10.78.0.1;7551;"#
        + #""model=a \"b\" c;d\\e" "key=71f9-a066" "protocol=8" "version=0.1.0""#

    @Test func whatAvahiPrintsIsRead() {
        let found = LANService.services(["+;w0;IPv4;x;_tessera._tcp;local", line])
        let service = LANService(
            name: #"Tessera; on "de\sk".é"#,
            addresses: ["10.78.0.1"],
            port: 7551,
            key: "71f9-a066",
            model: #"a "b" c;d\e"#,
            protocol: 8,
            version: "0.1.0"
        )
        #expect(found == [service])
        #expect(service.endpoints == ["tcp://10.78.0.1:7551"])
    }

    /// Bytes beyond ASCII are numbers in TXT records, too.
    @Test func modelsOfAnyNameAreRead() {
        let other = line.replacing(#"model=a \"b\" c;d\\e"#, with: #"model=mod\195\168le"#)
        #expect(LANService.services([other]).map(\.model) == ["modèle"])
    }

    @Test func linesOfOneServiceAreOne() {
        let others = ["127.0.0.1", "fd00::7", "fe80::1", "10.0.0.9"].map {
            line.replacing("10.78.0.1", with: $0)
        }
        let found = LANService.services(others + [line, line])
        #expect(found.map(\.addresses) == [["10.0.0.9", "10.78.0.1", "fd00::7", "127.0.0.1"]])
        #expect(found.first?.endpoints.contains("tcp://[fd00::7]:7551") == true)
        // Another key means another service, whatever its name.
        let liar = line.replacing("71f9-a066", with: "71f9-a067")
        #expect(LANService.services([line, liar]).count == 2)
    }

    @Test func whatMakesNoSenseIsLeftOut() {
        let lines = [
            "", "=", "=;;;;;;;;;", line.replacing("7551", with: "0"),
            line.replacing("7551", with: "70000"), line.replacing("_tessera", with: "_http"),
            "+" + line.dropFirst(), "Failed to create client object: Daemon not running",
        ]
        #expect(LANService.services(lines).isEmpty)
        // A host name in place of an address is not resolved.
        for address in ["evil.example", "10.0.0.1:22", "*", "1.2.3", "::g", ""] {
            let found = LANService.services([line.replacing("10.78.0.1", with: address)])
            #expect(found.map(\.addresses) == [[]], "\(address)")
        }
        // Whatever the text is, the result is one line without control characters.
        let hostile = line.replacing("a \\\"b", with: "a\u{1b}[2J\u{7}").replacing(
            "\\059",
            with: "\\010\\027"
        )
        for service in LANService.services([hostile]) {
            let text = LANService.table([service]).joined()
            #expect(!text.unicodeScalars.contains { $0.properties.generalCategory == .control })
        }
        for unfinished in [#""key=abc"#, #""key"#, #"\"#, #""key=abc" "key=def""#] {
            let base = line.prefix { $0 != "\"" }
            let found = LANService.services([base + unfinished])
            #expect(found.count == 1 && ["", "abc"].contains(found[0].key), "\(unfinished)")
        }
    }

    @Test func namesAreShortEnough() {
        let service = LANService(
            name: String(repeating: "é", count: 60),
            port: 7,
            key: "k",
            model: String(repeating: "m", count: 400)
        )
        let words = service.publishArguments
        #expect(words[1].utf8.count == 62 && words[2...3] == ["_tessera._tcp", "7"])
        #expect(words.allSatisfy { $0.utf8.count <= 255 })
    }

    @Test func onlyWhatOthersCanReachIsAnnounced() throws {
        try inTemporaryFolder { folder in
            func read(_ coordinator: String) throws -> ClusterFile {
                let path = "\(folder)/cluster.yaml"
                let text = "coordinator: {\(coordinator)}\nhosts: [{name: localhost}]\n"
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                return try ClusterFile(file: path)
            }
            let told = try read("endpoint: 'tcp://10.0.0.1:7551', announce: true")
            let silent = try read("endpoint: 'tcp://10.0.0.1:7551'")
            #expect(told.coordinator.announce && !silent.coordinator.announce)
            for wrong in [
                "announce: true", "endpoint: 'tcp://127.0.0.1:7551', announce: true",
                "endpoint: 'ipc:///tmp/x', announce: true",
                "endpoint: 'tcp://10.0.0.1:0', announce: true",
                "endpoint: 'tcp://10.0.0.1:7551', announce: true, insecure: true",
            ] {
                let error = #expect(throws: InputError.self) { try read(wrong) }
                #expect(error?.place.contains("announce") == true, "\(wrong)")
            }
        }
    }
}

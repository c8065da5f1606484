import Engine
import Foundation
import Protocol
import Testing

@Suite struct InvitationCodeTests {
    private func code() throws -> InvitationCode {
        InvitationCode(
            host: "desk.example",
            port: 7551,
            coordinator: try KeyPair.new().publicKey,
            pair: try KeyPair.new()
        )
    }

    @Test func aCodeIsReadAgain() throws {
        for host in ["192.168.1.10", "[fe80::1]", "desk.example"] {
            let code = InvitationCode(
                host: host,
                port: 7551,
                coordinator: try KeyPair.new().publicKey,
                pair: try KeyPair.new()
            )
            let read = try InvitationCode(code.text)
            #expect(read.host == host && read.port == 7551 && read.endpoint == "tcp://\(host):7551")
            #expect(read.coordinator == code.coordinator)
            #expect(read.pair.publicKey == code.pair.publicKey)
            // Another address, such as a tunnel's, works as well.
            let moved = code.text.replacing("\(host):7551", with: "127.0.0.1:9000")
            #expect(try InvitationCode(moved).pair.publicKey == code.pair.publicKey)
        }
    }

    /// Any changed, lost or doubled character of the code is noticed, and the error does not repeat the secret.
    @Test func everyDamageIsNoticed() throws {
        let text = try code().text
        let start = try #require(text.firstIndex(of: "#"))
        var damaged: [String] = []
        for place in text.indices where place > start {
            var other = text
            let new: Character = text[place] == "A" ? "B" : "A"
            other.replaceSubrange(place...place, with: [new])
            damaged.append(other)
            var shorter = text
            shorter.remove(at: place)
            damaged.append(shorter)
            var doubled = text
            doubled.insert(text[place], at: place)
            damaged.append(doubled)
        }
        for place in ["", "tessera://", "tessera://desk#", "tessera://desk:0#", "tessera://:7551#"]
        {
            damaged.append(place + text[text.index(after: start)...])
        }
        damaged += [
            String(text[..<start]), text + " ", text.replacing("#", with: "#\n"), "é" + text,
        ]
        damaged.append(text.replacing("#", with: "#é"))
        let secret = text[start...].dropFirst(50)
        for text in damaged {
            let error = #expect(throws: InputError.self, "\(text)") { try InvitationCode(text) }
            #expect(error?.description.contains(secret) == false)
        }
    }
}

import Engine
import Foundation
import Service
import TestSupport
import Testing

/// Who may use the service, and from where.
@Suite struct AccessTests {
    private func refusal(_ exposure: Exposure, hasTokens: Bool) -> String? {
        do throws(InputError) {
            try exposure.check("host:1", hasTokens: hasTokens)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func theNetworkNeedsTokensAndEncryption() throws {
        let proxies = [try AddressRange("10.0.0.0/8", flag: "--reverse-proxy")]
        #expect(refusal(Exposure(isLoopback: true), hasTokens: false) == nil)
        for hasTokens in [false, true] {
            let open = refusal(Exposure(isLoopback: false), hasTokens: hasTokens)
            #expect(open?.contains("--tls-certificate") == true)
        }
        for isLoopback in [false, true] {
            let proxied = Exposure(isLoopback: isLoopback, proxies: proxies)
            #expect(refusal(proxied, hasTokens: false)?.contains("tessera tokens") == true)
            #expect(refusal(proxied, hasTokens: true) == nil)
        }
        let encrypted = Exposure(isLoopback: false, hasTLS: true)
        #expect(refusal(encrypted, hasTokens: false)?.contains("tessera tokens") == true)
        #expect(refusal(encrypted, hasTokens: true) == nil)
    }

    @Test func onlyTheProxyConnectsWithoutEncryption() throws {
        let proxy = try AddressRange("10.0.0.5", flag: "--reverse-proxy")
        let exposure = Exposure(isLoopback: false, proxies: [proxy])
        #expect(exposure.refusal(from: "10.0.0.5") == nil)
        #expect(exposure.refusal(from: "10.0.0.6") != nil)
        #expect(exposure.refusal(from: nil) != nil)
        let encrypted = Exposure(isLoopback: false, hasTLS: true, proxies: [proxy])
        #expect(encrypted.refusal(from: "10.0.0.6") == nil)
        #expect(encrypted.isProxy("10.0.0.5") && !encrypted.isProxy("10.0.0.6"))
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
        ("192.168.1.128/25", "192.168.1.127", false), ("192.168.1.128/25", "192.168.1.200", true),
        ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "::ffff:127.0.0.1", true), ("fd00::/8", "fd12::1", true),
        ("fd00::/8", "fe00::1", false), ("::/0", "10.0.0.1", false), ("0.0.0.0/0", "8.8.8.8", true),
        ("10.0.0.1", "", false), ("10.0.0.1", "host", false),
    ]) func ranges(_ range: String, _ address: String, _ isInside: Bool) throws {
        #expect(try AddressRange(range, flag: "--x").contains(address) == isInside)
    }

    @Test(arguments: ["", "host", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0", "::/129"])
    func malformedRanges(_ text: String) {
        #expect(throws: InputError.self) { try AddressRange(text, flag: "--x") }
    }

    @Test func origins() {
        for text in ["https://studio.example", "http://localhost:8080"] {
            #expect(Exposure.isOrigin(text))
        }
        for text in ["*", "null", "studio.example", "https://a/b", "https://", "ftp://a"] {
            #expect(!Exposure.isOrigin(text))
        }
    }

    @Test func credentials() {
        let token = Credentials.token(inAuthorization:)
        #expect(token("Bearer abc") == "abc" && token("bearer  abc ") == "abc")
        let pair = Data("name:a:b".utf8).base64EncodedString()
        #expect(token("Basic \(pair)") == "a:b")
        for header in ["", "abc", "Digest abc", "Basic !", "Basic YWJj"] {
            #expect(token(header) == nil, "\(header)")
        }
    }

    @Test func scopes() throws {
        #expect(try TokenScope.set("submit, read", flag: "--scopes") == [.read, .submit])
        for text in ["", "read,write", ","] {
            #expect(throws: InputError.self) { try TokenScope.set(text, flag: "--scopes") }
        }
        let reader = Caller(user: "ann", scopes: [.read])
        #expect(reader.has(.read) && !reader.has(.submit) && !reader.has(.admin))
        #expect(reader.owns(jobsOf: "ann") && !reader.owns(jobsOf: "ben"))
        let submitter = Caller(user: "ann", scopes: [.submit])
        #expect(submitter.has(.read) && submitter.has(.submit) && !submitter.has(.admin))
        let admin = Caller(user: "root", scopes: [.admin])
        #expect(TokenScope.allCases.allSatisfy(admin.has) && admin.owns(jobsOf: "ben"))
        #expect(Caller.trusted(nil).user == "local" && Caller.trusted("ben").has(.admin))
    }

    @Test func tokensAreStoredAsDigests() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/jobs.sqlite"
            let store = try JobStore(path: path)
            #expect(try !store.hasTokens())
            var quota = UserQuota()
            quota.pixels = 7
            let (text, token) = try store.createToken(
                user: "ann",
                scopes: [.read, .submit],
                note: "laptop",
                expires: 100,
                quota: quota,
                now: 1
            )
            #expect(TokenText.id(of: text) == token.id && token.scopes == "read,submit")
            let again = try JobStore(path: path)
            #expect(try again.hasTokens() && again.tokens() == [token])
            #expect(try again.token(text, now: 99) == token)
            #expect(try again.token(text, now: 100) == nil)
            // A wrong secret with a known ID.
            let other = text.dropLast() + (text.hasSuffix("0") ? "1" : "0")
            #expect(try again.token(String(other), now: 1) == nil)
            for wrong in ["", "tessera", "tessera__", "\(text)0", TokenText.random()] {
                #expect(try again.token(wrong, now: 1) == nil, "\(wrong)")
            }
            // Only the owner of a token with all scopes may act for another user.
            #expect(try again.token(text, now: 1)?.quota == quota)
            #expect(Caller(token, claiming: nil)?.quota == quota)
            #expect(Caller(token, claiming: nil)?.user == "ann")
            #expect(Caller(token, claiming: "ann")?.user == "ann")
            #expect(Caller(token, claiming: "ben") == nil)
            let secret = text.split(separator: "_")[2]
            for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
                let content = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(file)"))
                #expect(content.range(of: Data(secret.utf8)) == nil, "\(file) has the secret")
            }
            #expect(try again.revokeToken(token.id) && !again.revokeToken(token.id))
            #expect(try again.token(text, now: 1) == nil)
        }
    }
}

import Foundation
import Service
import TestSupport
import Testing

/// Links to pictures that need no token.
@Suite struct PictureLinksTests {
    @Test func onlyWhatWasMadeHereIsALink() throws {
        try inTemporaryFolder { folder in
            let links = try PictureLinks(secretFile: "\(folder)/links.key")
            let name = links.name(of: "abc")
            #expect(links.id(of: name) == "abc")
            for wrong in ["abc", "abc-", "\(name)0", "abd\(name.dropFirst(3))", "-", ""] {
                #expect(links.id(of: wrong) == nil, "\(wrong)")
            }
            // The link stays the same after a restart, and differs in another folder.
            #expect(try PictureLinks(secretFile: "\(folder)/links.key").id(of: name) == "abc")
            #expect(try PictureLinks(secretFile: "\(folder)/other.key").id(of: name) == nil)
            let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/links.key")
            #expect(mode[.posixPermissions] as? Int == 0o600)
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Token ids against those of Transformers.
@Suite struct TokenizerTests {
    @Test(arguments: Fixtures.networks) func promptsBecomeTokens(_ fixture: NetworkFixture) throws {
        let expected = try fixture.tensors()
        for suffix in ["", "_2"] where expected.names.contains("tokens\(suffix)") {
            let tokenizer = try CLIPTokenizer(folder: "\(fixture.checkpoint)/tokenizer\(suffix)")
            let ids = try expected.integers("tokens\(suffix)")
            #expect(!fixture.prompts.isEmpty)
            #expect(ids.count == fixture.prompts.count * tokenizer.length)
            for (i, prompt) in fixture.prompts.enumerated() {
                let own = Array(ids[i * tokenizer.length..<(i + 1) * tokenizer.length])
                #expect(tokenizer.encode(prompt) == own, "\(fixture)\(suffix): '\(prompt)'")
            }
        }
    }

    /// CLIP's whole vocabulary.
    @Test func wholeVocabulary() throws {
        let file = "\(Fixtures.folder)/expected/clip-vocab.json"
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        let cases = try JSONDecoder().decode([Case].self, from: data)
        let tokenizer = try CLIPTokenizer(folder: "\(Fixtures.folder)/clip-vocab")
        #expect(!cases.isEmpty)
        for one in cases { #expect(tokenizer.encode(one.prompt) == one.ids, "'\(one.prompt)'") }
    }

    /// Spellings that Unicode composition makes equal, including some that Foundation composes only after decomposing
    /// them.
    @Test(arguments: [
        ("é", "e\u{301}"), ("Å", "\u{212B}"), ("\u{CB68}", "\u{CB64}\u{11AB}"),
        ("\u{F71}\u{F72}\u{301}", "\u{301}\u{F73}"),
        ("a\u{1D18E} \u{CB68}", "a\u{1D18E} \u{CB64}\u{11AB}"),
    ])
    func spellingsOfOneText(_ one: String, _ other: String) throws {
        let tokenizer = try CLIPTokenizer(folder: "\(Fixtures.folder)/clip-vocab")
        #expect(tokenizer.encode(one) == tokenizer.encode(other))
    }

    private struct Case: Decodable {
        let prompt: String
        let ids: [Int]
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Tokenizer folders in every form that people have, and the ids that Transformers 5 gives with them:
/// `python Training/reference/make_tokenizer_fixtures.py Tests/Fixtures Tests/Fixtures/tokenizers`.
struct TokenizerFixtures: Decodable {
    struct Case: Decodable {
        /// Contents by name.
        let files: [String: String]
        /// Of each prompt, between begin and end.
        let ids: [[Int]]
        /// Of the second prompt: begin, ids, end, padding.
        let padded: [Int]

        func write(to folder: String) throws {
            for (name, text) in files {
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
            }
        }
    }

    let prompts: [String]
    let cases: [String: Case]

    static let all = try? JSONDecoder().decode(
        TokenizerFixtures.self,
        from: Data(
            contentsOf: URL(
                fileURLWithPath: "\(Fixtures.packageRoot)/Tests/Fixtures/tokenizers/tokenizers.json"
            )
        )
    )
    static let names = (all?.cases.keys).map { $0.sorted() } ?? []
}

@Suite struct TokenizerFolderTests {
    @Test func theFixturesAreThere() { #expect(TokenizerFixtures.names.count == 13) }

    /// vocab.json and merges.txt, tokenizer.json with pairs and with strings, tokens added in three ways,
    /// marks and CRLF.
    @Test(arguments: TokenizerFixtures.names) func tokensAreTransformers(name: String) throws {
        let fixtures = try #require(TokenizerFixtures.all)
        let one = try #require(fixtures.cases[name])
        try inTemporaryFolder { folder in
            try one.write(to: folder)
            let tokenizer = try CLIPTokenizer(folder: folder)
            for (prompt, ids) in zip(fixtures.prompts, one.ids) {
                #expect(tokenizer.tokens(of: prompt) == ids, "\(name): '\(prompt)'")
            }
            #expect(tokenizer.encode(fixtures.prompts[1]) == one.padded)
            #expect(tokenizer.count == (one.ids.joined().max() ?? 0) + 1 || !name.contains("added"))
        }
    }

    /// What Transformers 5 saves of the pair is the pair.
    @Test func savedFoldersAreThePair() throws {
        let fixtures = try #require(TokenizerFixtures.all)
        let pair = try #require(fixtures.cases["pair"])
        for name in ["saved", "strings"] { #expect(fixtures.cases[name]?.ids == pair.ids) }
        #expect(fixtures.cases["saved"]?.files["vocab.json"] == nil)
    }

    private func fault(_ name: String, _ change: (inout [String: String]) -> Void) throws -> String
    {
        let fixtures = try #require(TokenizerFixtures.all)
        var files = try #require(fixtures.cases[name]).files
        change(&files)
        return try inTemporaryFolder { folder in
            for (name, text) in files {
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
            }
            let error = #expect(throws: InputError.self) { try CLIPTokenizer(folder: folder) }
            return (error.map { "\($0)" } ?? "").replacing(folder, with: "FOLDER")
        }
    }

    /// Each names the file and what is wrong in it.
    @Test func saysWhatIsWrong() throws {
        func replace(_ file: String, _ old: String, _ new: String) -> (inout [String: String]) ->
            Void
        {
            { $0[file] = $0[file]?.replacing(old, with: new) }
        }
        let whole = "tokenizer.json"
        for (name, change, part) in [
            (
                "saved", replace(whole, "\"BPE\"", "\"WordPiece\""),
                "FOLDER/tokenizer.json, 'model.type'"
            ),
            ("saved", replace(whole, "\"</w>\"", "\"@@\""), "'model.end_of_word_suffix'"),
            ("saved", replace(whole, "[\"i\", \"n\"]", "[\"i\"]"), "is not a pair"),
            (
                "saved", replace(whole, "[\"i\", \"n\"]", "[\"i\", \"nope\"]"),
                "'i nope', which the vocabulary"
            ),
            ("saved", replace(whole, "\"merges\"", "\"margins\""), "has no model with a vocab"),
            ("saved", { $0[whole] = "[]" }, "has no model with a vocab"),
            (
                "saved-added", replace(whole, "\"content\": \"<cat-toy>\"", "\"content\": 3"),
                "'added_tokens'"
            ),
            ("legacy", { $0["added_tokens.json"] = "{\"<x>\": -1}" }, "FOLDER/added_tokens.json"),
            ("legacy", { $0["added_tokens.json"] = "{\"the</w>\": 9999}" }, "'the</w>' is "),
            (
                "decoder", { $0["added_tokens.json"] = "{\"<cat-toy>\": 9999}" },
                "another file that it is"
            ),
            ("pair", { $0["merges.txt"] = "#version: 0.2\ni n e\n" }, "FOLDER/merges.txt"),
            ("pair", { $0["vocab.json"] = "{\"a\": 1.5}" }, "FOLDER/vocab.json"),
        ] as [(String, (inout [String: String]) -> Void, String)] {
            let found = try fault(name, change)
            #expect(found.contains(part), "\(name): \(found)")
            #expect(!found.contains("\n"))
        }
        // UTF-16, as some editors save.
        let text = try #require("{}".data(using: .utf16))
        let error = #expect(throws: InputError.self) { try JSON(Array(text), place: "a.json") }
        #expect(error?.problem == "it is UTF-16 text")
    }

    /// Hundreds of damaged files of each kind: read or refused.
    @Test(arguments: ["saved-added", "legacy", "decoder"]) func survivesDamage(name: String) throws
    {
        let fixtures = try #require(TokenizerFixtures.all)
        let one = try #require(fixtures.cases[name])
        try inTemporaryFolder { folder in
            try one.write(to: folder)
            var mutator = Mutator(seed: 31)
            for (file, text) in one.files.sorted(by: { $0.key < $1.key }) {
                for _ in 0..<50 {
                    try Data(mutator.mutate(Array(text.utf8)))
                        .write(to: URL(fileURLWithPath: "\(folder)/\(file)"))
                    do {
                        let tokenizer = try CLIPTokenizer(folder: folder)
                        for prompt in fixtures.prompts {
                            #expect(tokenizer.encode(prompt).count == tokenizer.length)
                        }
                    } catch is InputError {}
                }
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(file)"))
            }
        }
    }
}

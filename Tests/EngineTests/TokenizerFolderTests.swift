import Engine
import Foundation
import TestSupport
import Testing

/// Tokenizer folders in every form that people use, and the ids that Transformers 5 gives for them:
/// `python Training/reference/make_tokenizer_fixtures.py Tests/Fixtures Tests/Fixtures/tokenizers`.
struct TokenizerFixtures: Decodable {
    struct Case: Decodable {
        /// Contents of the files, by name.
        let files: [String: String]
        /// Ids of each prompt, between begin and end.
        let ids: [[Int]]
        /// Ids of the second prompt: begin, ids, end, padding.
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

    /// vocab.json and merges.txt, tokenizer.json with pairs and with strings, tokens added in three ways, byte-order
    /// marks and CRLF.
    @Test(arguments: TokenizerFixtures.names) func tokensMatchTransformers(name: String) throws {
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

    /// The folders that Transformers 5 saves after reading the pair of files give the same ids as the pair.
    @Test func savedFoldersMatchThePair() throws {
        let fixtures = try #require(TokenizerFixtures.all)
        let pair = try #require(fixtures.cases["pair"])
        for name in ["saved", "strings"] { #expect(fixtures.cases[name]?.ids == pair.ids) }
        #expect(fixtures.cases["saved"]?.files["vocab.json"] == nil)
    }

    /// A change to one file of a case: `old` is replaced, or the whole file if `old` is nil.
    private struct Change {
        let name: String
        let file: String
        let old: String?
        let new: String
        /// Part of the expected error.
        let part: String

        init(_ name: String, _ file: String, _ old: String?, _ new: String, _ part: String) {
            (self.name, self.file, self.old, self.new, self.part) = (name, file, old, new, part)
        }

        func fault() throws -> String {
            let fixtures = try #require(TokenizerFixtures.all)
            var files = try #require(fixtures.cases[name]).files
            let whole = files[file] ?? ""
            files[file] = old.map { whole.replacing($0, with: new) } ?? new
            #expect(files[file] != whole)
            return try inTemporaryFolder { folder in
                for (name, text) in files {
                    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
                }
                let error = #expect(throws: InputError.self) { try CLIPTokenizer(folder: folder) }
                return (error.map { "\($0)" } ?? "").replacing(folder, with: "FOLDER")
            }
        }
    }

    /// Each error names the file and what is wrong in it.
    @Test func saysWhatIsWrong() throws {
        let (whole, added) = ("tokenizer.json", "added_tokens.json")
        let pair = "[\"i\", \"n\"]"
        let changes: [Change] = [
            Change("saved", whole, "\"BPE\"", "\"Other\"", "FOLDER/tokenizer.json, 'model.type'"),
            Change("saved", whole, "\"</w>\"", "\"@@\"", "'model.end_of_word_suffix'"),
            Change("saved", whole, pair, "[\"i\"]", "is not a pair"),
            Change("saved", whole, pair, "[\"i\", \"no\"]", "'i no', which the vocabulary"),
            Change("saved", whole, "\"merges\"", "\"margins\"", "has no model with a vocab"),
            Change("saved", whole, nil, "[]", "has no model with a vocab"),
            Change("saved-added", whole, ": \"<cat-toy>\"", ": 3", "'added_tokens'"),
            Change("legacy", added, nil, "{\"<x>\": -1}", "FOLDER/added_tokens.json"),
            Change("legacy", added, nil, "{\"the</w>\": 9999}", "'the</w>' is "),
            Change("decoder", added, nil, "{\"<cat-toy>\": 9999}", "another file that it is"),
            Change("pair", "merges.txt", nil, "#version: 0.2\ni n e\n", "FOLDER/merges.txt"),
            Change("pair", "vocab.json", nil, "{\"a\": 1.5}", "FOLDER/vocab.json"),
        ]
        for change in changes {
            let found = try change.fault()
            #expect(found.contains(change.part), "\(change.name): \(found)")
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

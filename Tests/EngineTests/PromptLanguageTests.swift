import Engine
import Foundation
import TestSupport
import Testing

/// Prompt weights, schedules, skipped layers and textual inversions against Transformers
/// (`Training/reference/make_language_fixtures.py`).
@Suite struct PromptLanguageTests {
    struct Case: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let kind: String
        let prompt: String
        let chunks: Int
        let skip: Int?
        let prompt2: String?
        let inversions: [String]
        var description: String { name }
    }

    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"
    private static let folder = "\(fixtures)/language"
    static let cases: [Case] = {
        let data = FileManager.default.contents(atPath: "\(folder)/language.json") ?? Data()
        return (try? JSONDecoder().decode([Case].self, from: data)) ?? []
    }()

    private static func model(_ kind: String, _ inversions: [String] = []) throws -> Model {
        let sources = try inversions.map { try EmbeddingSource(argument: "\(folder)/\($0)") }
        return try Model(
            path: "\(fixtures)/\(kind)-tiny",
            options: ModelOptions(embeddings: sources)
        )
    }

    @Test func thereAreCases() { #expect(Self.cases.count >= 15) }

    @Test(arguments: cases) func contextsAreA1111s(_ one: Case) throws {
        let model = try Self.model(one.kind, one.inversions)
        let prompts = try PromptPair(
            PromptWording(one.prompt, positive2: one.prompt2, syntax: .a1111),
            guides: false,
            model: model
        )
        #expect(prompts.count == one.chunks && prompts.unusedWords.isEmpty)
        let encoder = try PromptEncoder(
            model: model,
            options: EngineOptions(),
            prompts: prompts,
            clipSkip: one.skip
        )
        let found = try encoder.encode(prompts.positive, chunks: prompts.count)
        let expected = try SafeTensors(file: "\(Self.folder)/language.safetensors")
        expectClose(
            found.context,
            try expected.tensor("\(one.name).context"),
            within: Tolerance.parity,
            one.name
        )
        if let pooled = found.pooled {
            let wanted = try expected.tensor("\(one.name).pooled")
            expectClose(pooled, wanted, within: Tolerance.parity, "\(one.name) pooled")
        }
    }

    /// A prompt and its texts, with the last step of each.
    struct Schedule: Sendable {
        let prompt: String
        let texts: [(last: Int, text: String)]

        init(_ prompt: String, _ texts: [(last: Int, text: String)]) {
            (self.prompt, self.texts) = (prompt, texts)
        }
    }

    /// The examples of A1111's prompt_parser.py, with ten steps.
    static let schedules: [Schedule] = [
        Schedule("test", [(10, "test")]),
        Schedule("a [b:3]", [(3, "a "), (10, "a b")]),
        Schedule("a [b: 3]", [(3, "a "), (10, "a b")]),
        Schedule("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        Schedule("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        Schedule("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        Schedule("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        Schedule("a [unbalanced", [(10, "a [unbalanced")]),
        Schedule("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        Schedule("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        Schedule("a [b::0.25] c", [(2, "a b c"), (10, "a  c")]),
        Schedule("a [b::20]", [(10, "a b")]),
        Schedule(#"a \[b:c:3\]"#, [(10, #"a \[b:c:3\]"#)]),
        Schedule("[fe|]male", (1...10).map { ($0, $0 % 2 == 1 ? "female" : "male") }),
        Schedule(
            "[fe|||]male",
            [(1, "female"), (4, "male"), (5, "female"), (8, "male"), (9, "female"), (10, "male")]
        ),
    ]

    @Test(arguments: schedules) func schedulesAreA1111s(_ one: Schedule) throws {
        let (prompt, texts) = (one.prompt, one.texts)
        let model = try Self.model("sd15")
        let found = try PromptPair(
            PromptWording(prompt, negative: "rain", syntax: .a1111),
            steps: 10,
            guides: true,
            model: model
        )
        #expect(found.turns.count == texts.count, "\(found.turns.map(\.steps))")
        var last = 0
        for (turn, (end, text)) in zip(found.turns, texts) {
            last += turn.steps
            #expect(last == end, "\(prompt)")
            // This text no longer has a schedule.
            let plain = try PromptPair(
                PromptWording(text, negative: "rain", syntax: .a1111),
                steps: 10,
                guides: true,
                model: model
            )
            #expect(plain.turns.count == 1)
            #expect(turn.positive == plain.positive, "\(prompt): '\(text)'")
            #expect(turn.negative == plain.negative)
        }
    }

    @Test func plainPromptsAreReadAsTheyAre() throws {
        let model = try Self.model("sd15")
        func chunks(_ text: String, _ syntax: PromptSyntax) throws -> PromptChunks {
            try PromptPair(PromptWording(text, syntax: syntax), guides: false, model: model)
                .positive
        }
        #expect(try chunks("a (b)", .plain) == chunks(#"a \(b\)"#, .a1111))
        #expect(try chunks("a <lora:x:1> b", .a1111) == chunks("a  b", .plain))
        #expect(try chunks("a < b > c", .a1111) == chunks("a < b > c", .plain))
        let hints: [(String, String)] = [
            ("a (b:1.2)", "(…)"), ("a [b]", "[…]"), ("[a:b:0.5]", "[from:to:when]"),
            ("[a|b]", "[a|b]"), ("a <lora:x:1>", "<lora:"), ("a (b)", "(…)"),
        ]
        for (text, hint) in hints {
            #expect(PromptSyntax.hint(in: text)?.contains(hint) == true, "\(text)")
        }
        for text in ["a lake", "3:4", "a < b", #"\(a\)"#] {
            #expect(PromptSyntax.hint(in: text) == nil, "\(text)")
        }
        let refused: [(PromptWording, String)] = [
            (PromptWording("a", positive2: "b"), "--prompt-2"),
            (PromptWording("a", negative2: "b"), "--negative-prompt-2"),
        ]
        for (wording, part) in refused {
            let error = #expect(throws: InputError.self) {
                _ = try PromptPair(wording, guides: true, model: model)
            }
            #expect("\(error as Any)".contains(part))
        }
    }

    /// Textual inversions that do not fit the model, and where they are found.
    @Test func inversionsAreChecked() throws {
        for (kind, file, part) in [
            ("sdxl", "sd15-two.safetensors", "Stable Diffusion XL has two"),
            ("sd15", "sdxl-two.safetensors", "for two text encoders"),
        ] {
            let error = #expect(throws: InputError.self) {
                let model = try Self.model(kind, [file])
                _ = try PromptPair(positive: "a", negative: nil, guides: false, model: model)
            }
            #expect("\(error as Any)".contains(part) && "\(error as Any)".contains(file))
        }
        let two = "sd15-two.safetensors"
        #expect(throws: InputError.self) { _ = try Self.model("sd15", [two, two]).inversions() }
        let unused = try PromptPair(
            positive: "a twoo sd15-two2",
            negative: nil,
            guides: true,
            model: try Self.model("sd15", [two])
        )
        #expect(unused.unusedWords == ["sd15-two"])
        let report = try ModelReport(
            path: "\(Self.folder)/sdxl-two.safetensors",
            options: ModelOptions(),
            readsWeights: true
        )
        #expect(report.kind == "textual inversion" && report.refusal == nil)
        #expect(report.facts.first?.value.hasPrefix("'sdxl-two': 2 vectors of") == true)
        try inTemporaryFolder { folder in
            let vectors = RawTensor(ones: [2, 32])
            let wrong: [([String: RawTensor], String)] = [
                (["emb_params": RawTensor(ones: [2, 31])], "31 numbers"),
                (["emb_params": RawTensor(ones: [76, 32])], "76 vectors"),
                (["emb_params": RawTensor(ones: [2, 2, 32])], "not a list of vectors"),
                (["emb_params": vectors, "name": vectors], "this key does not belong"),
            ]
            for (tensors, part) in wrong {
                let file = "\(folder)/a.safetensors"
                try RawTensor.write(tensors, to: file)
                let error = #expect(throws: InputError.self) {
                    let options = ModelOptions(embeddings: [EmbeddingSource(path: file)])
                    let model = try Model(path: "\(Self.fixtures)/sd15-tiny", options: options)
                    _ = try PromptPair(positive: "a", negative: nil, guides: false, model: model)
                }
                #expect("\(error as Any)".contains(part), "\(part): \(error as Any)")
            }
        }
    }

    /// OneTrainer stores textual inversions inside a LoRA: they are the same as those in a separate file.
    @Test func bundledInversionsAreRead() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let own = try RawTensor.read("\(Self.folder)/sdxl-two.safetensors")
            var tensors: [String: RawTensor] = [
                "lora_unet_conv_in.diff_b": RawTensor(zeros: [32])
            ]
            for (key, tensor) in own { tensors["bundle_emb.two.\(key)"] = tensor }
            try RawTensor.write(tensors, to: file)
            let options = ModelOptions(loras: [LoRASource(path: file)])
            let model = try Model(path: "\(Self.fixtures)/sdxl-tiny", options: options)
            func embedding(_ model: Model) throws -> Embedding {
                try PromptEncoder(model: model, options: EngineOptions()).encode("a two")
            }
            let expected = try embedding(try Self.model("sdxl", ["sdxl-two.safetensors:two"]))
            #expect(try embedding(model) == expected)
            #expect(try embedding(try Self.model("sdxl")) != expected)
            let report = try ModelReport(path: file, options: ModelOptions(), readsWeights: true)
            #expect(report.facts.contains { $0.name == "embedding" && $0.value.contains("'two'") })
        }
    }
}

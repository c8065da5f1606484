import Engine
import Foundation
import TestSupport
import Testing

/// Prompts of several chunks against Transformers' text encoders, chunk by chunk:
/// `python Training/reference/make_prompt_fixtures.py Tests/Fixtures Tests/Fixtures/prompts`.
@Suite struct LongPromptTests {
    private struct Case: Decodable {
        let prompt: String
        let negative: String?
        /// Token counts of the prompt and the negative prompt.
        let tokens: [Int]
        let chunks: [Int]
    }

    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    private func cases() throws -> [String: Case] {
        let file = URL(fileURLWithPath: "\(Self.fixtures)/prompts/prompts.json")
        return try JSONDecoder().decode([String: Case].self, from: Data(contentsOf: file))
    }

    private func model(_ kind: String) throws -> Model {
        try Model(path: "\(Self.fixtures)/\(kind)-tiny")
    }

    @Test(arguments: ["sd15", "sd21", "sdxl"], TestedBackends.all)
    func contextsAreThoseOfAllChunks(kind: String, backend: BackendKind) throws {
        let cases = try cases().filter { $0.key.hasPrefix(kind) }
        #expect(!cases.isEmpty)
        let expected = try SafeTensors(file: "\(Self.fixtures)/prompts/prompts.safetensors")
        let model = try model(kind)
        let encoder = try PromptEncoder(model: model, options: EngineOptions(backend: backend))
        for (name, one) in cases {
            let pair = try PromptPair(
                positive: one.prompt,
                negative: one.negative,
                guides: true,
                model: model
            )
            #expect(pair.positive.tokens == one.tokens[0] && pair.negative?.tokens == one.tokens[1])
            #expect(pair.positive.count == one.chunks[0] && pair.negative?.count == one.chunks[1])
            #expect(pair.count == one.chunks.max())
            let found = [
                ("", try encoder.encode(pair.positive, chunks: pair.count)),
                ("negative_", try encoder.encodeNegative(one.negative, chunks: pair.count)),
            ]
            for (side, found) in found {
                let context = try expected.tensor("\(name).\(side)context")
                #expect(found.context.shape == [1, 77 * pair.count, context.shape[2]])
                if side == "negative_", one.negative == nil, kind == "sdxl" {
                    #expect(found.context.values.allSatisfy { $0 == 0 })
                    #expect(found.pooled?.values.allSatisfy { $0 == 0 } == true)
                    continue
                }
                expectClose(found.context, context, within: Tolerance.parity, "\(name) \(side)")
                #expect((found.pooled != nil) == (kind == "sdxl"))
                if let pooled = found.pooled {
                    let wanted = try expected.tensor("\(name).\(side)pooled")
                    expectClose(pooled, wanted, within: Tolerance.parity, "\(name) \(side)pooled")
                }
            }
        }
    }

    /// A context of 231 tokens, for both halves of guidance at once, as Diffusers computes it.
    @Test(arguments: ["sd15", "sd21", "sdxl"], TestedBackends.all)
    func unetTakesLongContexts(kind: String, backend: BackendKind) throws {
        let expected = try SafeTensors(file: "\(Self.fixtures)/prompts/prompts.safetensors")
        let unet = try UNet(
            model: try model(kind),
            options: EngineOptions(backend: backend, threads: 2)
        )
        func both(_ suffix: String) throws -> Tensor {
            let sides = try ["negative_", ""].map {
                try expected.tensor("\(kind).words.\($0)\(suffix)")
            }
            return Tensor(
                sides.flatMap(\.values),
                shape: [2] + sides[0].shape.dropFirst()
            )
        }
        let context = try both("context")
        #expect(context.shape[1] == 231)
        let latent = try expected.tensor("\(kind).unet.input").channelsLast()
        let isXL = kind == "sdxl"
        let found = try unet.predict(
            Tensor(latent.values + latent.values, shape: [2] + latent.shape.dropFirst()),
            timestep: 500,
            context: context,
            pooled: isXL ? try both("pooled") : nil,
            timeIDs: isXL ? Array(repeating: [64, 64, 0, 0, 64, 64], count: 2) : nil
        )
        expectClose(
            found.channelsFirst(),
            try expected.tensor("\(kind).unet.output"),
            within: Tolerance.parity,
            kind
        )
    }

    /// Up to 75 tokens make one chunk, 76 make two, and the first chunk is bit-identical to that chunk alone.
    @Test(arguments: ["sd15", "sdxl"]) func shortPromptsAreOneChunk(kind: String) throws {
        let model = try model(kind)
        let tokenizer = try model.tokenizer(.textEncoder)
        func pair(_ prompt: String, guides: Bool = true) throws -> PromptPair {
            try PromptPair(positive: prompt, negative: nil, guides: guides, model: model)
        }
        let words = Array(repeating: "a", count: 80)
        #expect(tokenizer.tokens(of: words.joined(separator: " ")).count == 80)
        for (count, chunks) in [(0, 1), (1, 1), (75, 1), (76, 2), (80, 2)] {
            let found = try pair(words.prefix(count).joined(separator: " "))
            #expect(found.positive.tokens == count && found.count == chunks)
        }
        #expect(try pair("a lake").summary == "3 tokens, negative prompt 0 tokens (1 chunk of 75)")
        let long = try pair(words.joined(separator: " ") + " BREAK a", guides: false)
        #expect(long.summary == "81 tokens in 3 chunks (3 chunks of 75)")
        let encoder = try PromptEncoder(model: model, options: EngineOptions())
        let full = words.prefix(75).joined(separator: " ")
        let one = try encoder.encode(full)
        #expect(one.context.shape[1] == 77)
        // The first chunk of a longer prompt equals the shorter prompt.
        let two = try encoder.encode(full + " a")
        #expect(two.context.shape[1] == 154)
        #expect(Array(two.context.values.prefix(one.context.count)) == one.context.values)
        #expect(two.pooled?.values == one.pooled?.values)
    }

    /// BREAK counts only in capitals and as a whole word, and adds no chunk at the end of a prompt.
    @Test func breaksEndChunks() throws {
        let model = try model("sd15")
        func counts(_ prompt: String) throws -> (tokens: Int, chunks: Int) {
            let pair = try PromptPair(
                positive: prompt,
                negative: nil,
                guides: false,
                model: model
            )
            return (pair.positive.tokens, pair.count)
        }
        for (prompt, chunks) in [
            ("a BREAK b", 2), ("a BREAK", 1), ("BREAK", 1), ("BREAK a", 2), ("a BREAK BREAK b", 3),
            ("a break b", 1), ("aBREAK b", 1), ("BREAKFAST b", 1), ("a,BREAK,b", 2),
            ("a BREAK_ b", 1), ("a\nBREAK\nb BREAK c", 3), ("a BREAK1 b", 1), ("éBREAK b", 1),
        ] {
            #expect(try counts(prompt).chunks == chunks, "'\(prompt)'")
        }
        #expect(try counts("a BREAK b").tokens == 2)
        let full = Array(repeating: "a", count: 75).joined(separator: " ")
        #expect(try counts(full + " BREAK " + full).chunks == 2)
        let error = #expect(throws: InputError.self) {
            _ = try counts(Array(repeating: full, count: 17).joined(separator: " "))
        }
        #expect(error?.place == "--prompt")
        #expect(error?.problem == "it has 1275 tokens in 17 chunks of 75")
    }

    /// Two encoders with different vocabularies split each part into the same number of chunks.
    @Test func encodersAgreeInChunks() throws {
        try inTemporaryFolder { folder in
            let source = "\(Self.fixtures)/sdxl-tiny"
            for name in try FileManager.default.contentsOfDirectory(atPath: source)
            where name != "tokenizer_2" {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(folder)/\(name)",
                    withDestinationPath: "\(source)/\(name)"
                )
            }
            // The second tokenizer has a single token for a word that the first one splits into many.
            try FileManager.default.copyItem(
                atPath: "\(source)/tokenizer_2",
                toPath: "\(folder)/tokenizer_2"
            )
            let added = URL(fileURLWithPath: "\(folder)/tokenizer_2/added_tokens.json")
            try Data("{\"zqxjkvbw\": 2014}".utf8).write(to: added)
            // A new word without a row in the text encoder's table is an error, not an out-of-bounds read.
            let error = #expect(throws: InputError.self) {
                _ = try Model(path: folder).tokenizer(.textEncoder2)
            }
            #expect(error?.place.hasSuffix("tokenizer_2") == true)
            try Data("{\"zqxjkvbw\": 5}".utf8).write(to: added)
            let model = try Model(path: folder)
            let words = Array(repeating: "zqxjkvbw", count: 60).joined(separator: " ")
            let own = try model.tokenizer(.textEncoder).tokens(of: words).count
            #expect(try model.tokenizer(.textEncoder2).tokens(of: words).count == 60)
            #expect(own > 150)
            let pair = try PromptPair(
                positive: "\(words) BREAK a",
                negative: nil,
                guides: false,
                model: model
            )
            #expect(pair.positive.tokens == own + 1)
            #expect(pair.count == (own + 74) / 75 + 1)
            let encoder = try PromptEncoder(model: model, options: EngineOptions())
            #expect(try encoder.encode("a BREAK a").context.shape[1] == 154)
        }
    }
}

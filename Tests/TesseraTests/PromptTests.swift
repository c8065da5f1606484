import Engine
import Foundation
import TestSupport
import Testing

/// Long prompts and tokenizers, from the command line to the picture.
@Suite struct PromptTests {
    private var model: String { "\(Fixtures.packageRoot)/Tests/Fixtures/sdxl-tiny" }

    private func flags(_ folder: String, _ prompt: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", prompt, "--size", "72x64", "--steps", "2",
            "--seed", "5", "--workers", "2", "--threads-per-worker", "1", "--output",
            "\(folder)/out.png",
        ] + more
    }

    /// A picture and the messages printed with it.
    private struct Result {
        /// A hash of the pixels, since a failing expectation would print every one of them.
        let pixels: Int
        let text: [String: String]
        let errors: String
    }

    private func render(_ prompt: String, _ more: [String] = []) throws -> Result {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, prompt, more))
            #expect(command.status == 0, "\(command.errors)")
            let image = try PNGImage(file: "\(folder)/out.png")
            return Result(
                pixels: image.pixels.hashValue,
                text: image.text,
                errors: command.errors
            )
        }
    }

    /// A hundred words, and the same with five more: different pictures, also with phase 1 on workers.
    @Test func wordsBeyondTheFirstChunkMatter() throws {
        let words = Array(repeating: "a lake under tall pines", count: 20).joined(separator: " ")
        let one = try render(words)
        let other = try render(words + " and birds in the sky")
        #expect(one.pixels != other.pixels)
        let counted = try #require(
            one.errors.split(separator: "\n").first { $0.hasPrefix("prompt: ") }
        )
        let json = try JSON(try #require(one.text["tessera"]).utf8, place: "png").object
        let chunks = try #require(json?["prompt-chunks"]?.integer)
        #expect(chunks > 1 && counted.contains("(\(chunks) chunks of 75)"))
        let shared = try render(words, ["--global-pass", "workers"])
        #expect(shared.pixels == one.pixels)
        let broken = try render("a BREAK " + words)
        #expect(broken.pixels != one.pixels)
        let negative = try render("a lake", ["--negative-prompt", words])
        let plain = try render("a lake")
        #expect(negative.pixels != plain.pixels)
    }

    /// The length of a short prompt is reported, and does not change the picture's text.
    @Test func thePlanCountsTokens() throws {
        let short = try render("a lake")
        #expect(short.errors.contains("prompt: 3 tokens, negative prompt 0 tokens (1 chunk of 75)"))
        #expect(short.text["tessera"]?.contains("prompt-chunks") == false)
        let plan = try Command([
            "plan", "--model", model, "--prompt", "a lake BREAK a lake", "--size", "72x64",
            "--guidance", "1",
        ])
        #expect(plan.status == 0, "\(plan.errors)")
        #expect(plan.output.contains("prompt            6 tokens in 2 chunks (2 chunks of 75)"))
        let long = Array(repeating: "a BREAK", count: 17).joined(separator: " ")
        let refused = try Command(["plan", "--model", model, "--prompt", long])
        #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
        #expect(
            refused.complaints.first?.contains("--prompt: it has 17 tokens in 17 chunks") == true
        )
    }

    /// `--tokenizer` with a model folder: its own tokenizer gives the same picture, even if the folder has none.
    @Test func foldersTakeATokenizer() throws {
        try inTemporaryFolder { folder in
            let bare = "\(folder)/my model, Steps: 5"
            try FileManager.default.createDirectory(
                atPath: bare,
                withIntermediateDirectories: false
            )
            for name in try FileManager.default.contentsOfDirectory(atPath: model)
            where !name.hasPrefix("tokenizer") {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(bare)/\(name)",
                    withDestinationPath: "\(model)/\(name)"
                )
            }
            let whole = try render("a lake", ["--tokenizer", model])
            let own = try render("a lake")
            #expect(whole.pixels == own.pixels)
            let other = try render(
                "a lake",
                ["--tokenizer", "\(model)/tokenizer", "--model", bare]
            )
            #expect(other.pixels == own.pixels)
            let parameters = try #require(other.text["parameters"])
            #expect(parameters.contains(", Model: \"my model, Steps: 5\", "), "\(parameters)")
            for (place, part) in [
                (folder, "neither tokenizer.json nor vocab.json"),
                ("\(folder)/none", "--tokenizer"),
            ] {
                let refused = try Command(flags(folder, "a", ["--tokenizer", place]))
                #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
                #expect(refused.complaints.first?.contains(part) == true, "\(refused.errors)")
            }
            let large = try Command(
                flags(folder, "a", ["--tokenizer", "\(Fixtures.packageRoot)/Models/clip"])
            )
            #expect(large.status == 64, "\(large.errors)")
            #expect(
                large.complaints.first?.contains("tokens, the model's text_encoder knows") == true
            )
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Prompts joined by AND, against Diffusers' networks and the arithmetic of composable diffusion
/// (`Training/reference/make_composed_fixtures.py`).
@Suite struct ComposedTests {
    struct Case: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let kind: String
        let prompt: String
        let negative: String
        let steps: Int
        let guidance: Float
        let parts: Int
        let side: Int
        var description: String { name }
    }

    struct Reading: Decodable, Sendable {
        let prompt: String
        let texts: [String]
        let weights: [Float]
    }

    private struct File: Decodable {
        let cases: [Case]
        let readings: [Reading]
    }

    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"
    private static let folder = "\(fixtures)/composed"
    private static let file: File? = FileManager.default.contents(atPath: "\(folder)/composed.json")
        .flatMap { try? JSONDecoder().decode(File.self, from: $0) }
    static let cases = file?.cases ?? []
    static let readings = file?.readings ?? []

    @Test func thereAreCases() { #expect(Self.cases.count >= 9 && Self.readings.count >= 14) }

    @Test(arguments: readings) func partsAreReadAsByA1111(_ reading: Reading) {
        let parts = PromptPart.parts(of: reading.prompt, .a1111)
        #expect(parts.map(\.text) == reading.texts, "\(reading.prompt)")
        #expect(parts.map(\.weight) == reading.weights, "\(reading.prompt)")
        #expect(PromptPart.parts(of: reading.prompt, .plain).map(\.text) == [reading.prompt])
    }

    private func flags(_ one: Case, _ more: [String]) -> [String] {
        [
            "--model", "\(Self.fixtures)/\(one.kind)-tiny", "--prompt", one.prompt,
            "--negative-prompt",
            one.negative, "--prompt-syntax", "a1111", "--steps", "\(one.steps)", "--guidance",
            "\(one.guidance)", "--scheduler", "ddim", "--precision", "f32", "--threads-per-worker",
            "1",
        ] + more
    }

    /// Phase 1 on the coordinator, and on two workers that share its view.
    @Test(arguments: cases, ["coordinator", "workers"])
    func predictionsAreCombined(_ one: Case, pass: String) throws {
        let tensors = try SafeTensors(file: "\(Self.folder)/composed.safetensors")
        try inTemporaryFolder { folder in
            try tensors.copy(
                [("\(one.name).base_noise", "base_noise")],
                to: "\(folder)/in.safetensors"
            )
            let command = try Command(
                ["render"]
                    + flags(
                        one,
                        [
                            "--size", "\(one.side)x\(one.side)", "--workers", "2", "--global-pass",
                            pass,
                            "--inputs", "\(folder)/in.safetensors", "--dump",
                            "\(folder)/out.safetensors", "--output", "\(folder)/out.png", "--json",
                        ]
                    )
            )
            #expect(command.status == 0, "\(command.errors)")
            expectClose(
                try SafeTensors(file: "\(folder)/out.safetensors").tensor("final.0"),
                try tensors.tensor("\(one.name).final"),
                within: Tolerance.parity,
                one.name
            )
            #expect(
                command.output.contains("\"unet_calls\":\(one.steps * (one.parts + 1)),"),
                "\(command.output)"
            )
        }
    }

    /// Large pictures with both methods: the same bytes from any number of workers, and as many UNet calls as planned.
    @Test(arguments: ["demofusion", "refine"])
    func largePicturesAreCombined(method: String) throws {
        let one = try #require(Self.cases.first { $0.name == "sd15.turns" })
        try inTemporaryFolder { folder in
            func render(_ name: String, _ more: [String]) throws -> (Data?, String) {
                let own = [
                    "--size", "\(2 * one.side)x\(one.side)", "--method", method, "--wire", "f32",
                ]
                let plan = try Command(["plan"] + flags(one, own) + more + ["--json"])
                let output = ["--output", "\(folder)/\(name).png", "--json"]
                let command = try Command(["render"] + flags(one, own) + more + output)
                #expect(command.status == 0 && plan.status == 0, "\(command.errors)")
                func calls(_ text: String) throws -> Int? {
                    try JSON(text.utf8, place: "json").object?["unet_calls"]?.integer
                }
                #expect(try calls(plan.output) != nil)
                #expect(try calls(plan.output) == calls(command.output))
                return (
                    FileManager.default.contents(atPath: "\(folder)/\(name).png"), command.errors
                )
            }
            let (alone, errors) = try render("one", ["--workers", "1"])
            #expect(errors.contains(" AND "), "\(errors)")
            #expect(alone != nil)
            #expect(try render("three", ["--workers", "3"]).0 == alone)
            let other = ["--workers", "2", "--prompt", "an [old:new:0.5] bridge"]
            #expect(try render("other", other).0 != alone)
        }
    }

    @Test func partsOfSecondPromptsMustMatch() throws {
        for (second, isFine) in [("c AND d :0.5", true), ("c", false), ("c :0.5 AND d", false)] {
            let plan = try Command([
                "plan", "--model", "\(Self.fixtures)/sdxl-tiny", "--prompt", "a AND b :0.5",
                "--prompt-2", second, "--prompt-syntax", "a1111",
            ])
            #expect((plan.status == 0) == isFine, "\(plan.errors)")
            if !isFine { #expect(plan.complaints.first?.contains("--prompt-2") == true) }
        }
        let many = Array(repeating: "a", count: 16).joined(separator: " AND ")
        let refused = try Command([
            "plan", "--model", "\(Self.fixtures)/sd15-tiny", "--prompt", many, "--prompt-syntax",
            "a1111",
        ])
        #expect(refused.status == 64 && refused.complaints.first?.contains("at most 15") == true)
        // Without the prompt language, AND is an ordinary word, and a message says so.
        let plain = try Command([
            "plan", "--model", "\(Self.fixtures)/sd15-tiny", "--prompt", "a AND b",
        ])
        #expect(plain.status == 0 && plain.errors.contains("AND included"), "\(plain.errors)")
    }
}

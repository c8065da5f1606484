import Engine
import Foundation
import TestSupport
import Testing

/// The LoRA that distils the default model to four steps.
@Suite struct FewStepTests {
    private let model = "\(Fixtures.packageRoot)/Models/vista"
    private var adapter: [String] {
        ["--lora", "\(Fixtures.packageRoot)/Models/vista-lightning-4step.safetensors"]
    }

    private func render(_ more: [String], to path: String) throws -> (
        values: [Float], errors: String
    ) {
        let command = try Command(
            [
                "render", "--model", model, "--prompt", "a lake at sunset", "--size", "256x256",
                "--seed", "3", "--workers", "1", "--checkpoint-every", "0", "--output", path,
            ] + more
        )
        #expect(command.status == 0, "\(command.errors)")
        var values: [Float] = []
        try PictureFile(path).rows { values += $0 }
        return (values, command.errors)
    }

    private func difference(_ a: [Float], _ b: [Float]) -> Float {
        #expect(!a.isEmpty && a.count == b.count)
        return zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(a.count)
    }

    /// Four unguided steps come at least twice as close to the picture of 16 guided ones as four guided ones of the model
    /// alone.
    @Test func fourStepsDrawAlmostWhatSixteenDraw() throws {
        try inTemporaryFolder { folder in
            let wanted = try render(["--steps", "16"], to: "\(folder)/wanted.png")
            let few = try render(["--steps", "4"], to: "\(folder)/few.png")
            let found = try render(adapter + ["--guidance", "1"], to: "\(folder)/found.png")
            #expect(found.errors.contains("is distilled (Lightning)"), "\(found.errors)")
            #expect(found.errors.contains("\n4 UNet calls"), "\(found.errors)")
            let (error, without) = (
                difference(found.values, wanted.values), difference(few.values, wanted.values)
            )
            #expect(2 * error < without, "\(error), \(without)")
        }
    }

    /// One step a window after the inversion: half of the calls of the stages.
    @Test func refinementTakesTwoCallsForAWindow() throws {
        let flags = ["plan", "--model", model, "--prompt", "a lake", "--size", "512x512"]
        let alone = try Command(flags + ["--steps", "25"]).row("UNet calls")
        let found = try Command(flags + adapter + ["--guidance", "1"]).row("UNet calls")
        #expect(alone.first == "86" && found.first == "22", "\(alone), \(found)")
    }
}

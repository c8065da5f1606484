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

    /// Four unguided steps with the LoRA come at least twice as close to the picture of 16 guided steps as four guided
    /// steps of the model alone.
    @Test func fourStepsDrawAlmostWhatSixteenDraw() throws {
        try inTemporaryFolder { folder in
            let wanted = try render(["--steps", "16"], to: "\(folder)/wanted.png")
            let few = try render(["--steps", "4"], to: "\(folder)/few.png")
            let found = try render(adapter, to: "\(folder)/found.png")
            #expect(found.errors.contains("is distilled (Lightning)"), "\(found.errors)")
            #expect(found.errors.contains("\n4 UNet calls"), "\(found.errors)")
            let (error, without) = (
                difference(found.values, wanted.values), difference(few.values, wanted.values)
            )
            #expect(2 * error < without, "\(error), \(without)")
        }
    }

    /// TCD has its own timesteps, as LCM does, so those implied by the LoRA's name do not apply.
    @Test(arguments: ["tcd", "lcm"]) func anotherFewStepSamplerCanBeChosen(sampler: String) throws {
        let flags = ["plan", "--model", model, "--prompt", "a lake", "--size", "256x256"]
        let found = try Command(flags + adapter + ["--scheduler", sampler])
        #expect(found.status == 0, "\(found.errors)")
    }

    /// One step per window after the inversion: half the calls of the stages.
    @Test func refinementTakesTwoCallsForAWindow() throws {
        let flags = ["plan", "--model", model, "--prompt", "a lake", "--size", "512x512"]
        let alone = try Command(flags + ["--steps", "25"]).row("UNet calls")
        let found = try Command(flags + adapter).row("UNet calls")
        #expect(alone.first == "86" && found.first == "22", "\(alone), \(found)")
    }

    /// The model's own file was written for the model without the LoRA: none of its sampling settings apply, but flags
    /// do.
    @Test func itsNameDecidesBeforeTheModelsFile() throws {
        try inTemporaryFolder { folder in
            for name in try FileManager.default.contentsOfDirectory(atPath: model)
            where name != "tessera.json" {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(folder)/\(name)",
                    withDestinationPath: "\(model)/\(name)"
                )
            }
            let json = """
                {"scheduler": "dpmpp_2m", "karras": true, "steps": 30, "timestep-spacing": "leading",
                 "final-sigma": "sigma_min", "guidance": 4, "size": "512x512", "window-weight": "gaussian"}
                """
            try json.write(toFile: "\(folder)/tessera.json", atomically: true, encoding: .utf8)
            func plan(_ more: [String] = []) throws -> (settings: [String: Any], table: String) {
                let flags = ["plan", "--model", folder, "--prompt", "a lake"] + adapter + more
                let (command, table) = (try Command(flags + ["--json"]), try Command(flags))
                #expect(command.status == 0 && table.status == 0, "\(command.errors)")
                let object = try JSONSerialization.jsonObject(with: Data(command.output.utf8))
                let settings = (object as? [String: Any])?["settings"] as? [String: Any]
                return (try #require(settings), table.output)
            }
            let (settings, table) = try plan()
            #expect(settings["scheduler"] as? String == "euler")
            #expect(settings["timestep-spacing"] as? String == "trailing")
            #expect(settings["karras"] as? Bool == false && settings["final-sigma"] == nil)
            #expect(settings["steps"] as? Int == 4 && settings["guidance"] as? Int == 1)
            let all = "final-sigma, guidance, karras, scheduler, steps, timestep-spacing"
            let reason = "the LoRA is distilled, and has its own"
            #expect(table.contains("tessera.json; not \(all): \(reason)\n"), "\(table)")

            // Together with a suggestion that conflicts with a flag, and one that a flag overrides.
            let other = try plan(["--stride", "window", "--method", "demofusion", "--steps", "6"])
            #expect(other.settings["steps"] as? Int == 6)
            let rest = "final-sigma, guidance, karras, scheduler, timestep-spacing"
            let end = "; not window-weight: it conflicts with stride window\n"
            #expect(other.table.contains("; not \(rest): \(reason)\(end)"), "\(other.table)")
        }
    }
}

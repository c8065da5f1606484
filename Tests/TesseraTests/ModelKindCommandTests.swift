import Engine
import Foundation
import TestSupport
import Testing

/// Other kinds of models through a coordinator and two workers, against Diffusers' own pipelines.
@Suite struct ModelKindCommandTests {
    /// Renders with recorded noise on two workers, phase 1 included.
    private func render(
        _ kind: KindFixture,
        _ model: String,
        _ more: [String],
        in folder: String,
        noise: [(here: String, there: String)]? = nil,
        size: Int = 128
    ) throws -> SafeTensors {
        let inputs = "\(folder)/in.safetensors"
        try KindFixture.expected().copy(
            noise ?? [("\(kind).stock.noise", "base_noise")],
            to: inputs
        )
        let dump = "\(folder)/out.safetensors"
        let command = try Command(
            [
                "render", "--model", model, "--workers", "2", "--prompt", kind.prompt,
                "--negative-prompt", kind.negative, "--size", "\(size)x\(size)",
                "--steps", "\(kind.steps)", "--guidance", "\(kind.guidance)",
                "--global-pass", "workers", "--inputs", inputs, "--dump", dump,
                "--output", "\(folder)/out.png",
            ] + more
        )
        #expect(command.status == 0, "\(kind): \(command.errors)")
        return try SafeTensors(file: dump)
    }

    private func expectLatent(_ found: SafeTensors, _ name: String, _ wanted: String) throws {
        expectClose(
            try found.tensor(name),
            try KindFixture.expected().tensor(wanted),
            within: Tolerance.parity,
            wanted
        )
    }

    @Test(arguments: KindFixture.all.filter { $0.name != "refiner" })
    func asTheStockPipeline(_ kind: KindFixture) throws {
        try inTemporaryFolder { folder in
            let model = try kind.assemble(in: folder)
            // A sampler that adds no noise of its own.
            let more = kind.name == "lcm" ? ["--scheduler", "ddim"] : []
            let found = try render(kind, model, more, in: folder)
            try expectLatent(found, "final.0", "\(kind).stock.latent")
            if kind.name == "playground" {
                try expectLatent(found, "image", "playground.stock.image")
            }
        }
    }

    @Test func aUNetAlone() throws {
        let kind = try KindFixture.named("lcm-xl")
        try inTemporaryFolder { folder in
            let more = ["--base", kind.base, "--scheduler", "euler"]
            for model in ["unet", "unet/diffusion_pytorch_model.safetensors"] {
                let found = try render(kind, "\(kind.own)/\(model)", more, in: folder)
                try expectLatent(found, "final.0", "lcm-xl.stock.latent")
            }
        }
    }

    @Test(arguments: [
        ("euler", #"{"_class_name": "EDMEulerScheduler"}"#),
        ("dpmpp_3m", #"{"_class_name": "EDMDPMSolverMultistepScheduler", "solver_order": 3}"#),
        ("exponential", #"{"_class_name": "EDMEulerScheduler", "sigma_schedule": "exponential"}"#),
        (
            "velocity",
            #"{"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "v_prediction", "#
                + #""final_sigmas_type": "sigma_min"}"#
        ),
    ]) func samplersOfNoiseLevels(name: String, scheduler: String) throws {
        let kind = try KindFixture.named("playground")
        try inTemporaryFolder { folder in
            let model = try kind.assemble(in: folder)
            let file = "\(model)/scheduler/scheduler_config.json"
            try Data(scheduler.utf8).write(to: URL(fileURLWithPath: file))
            let found = try render(kind, model, [], in: folder)
            try expectLatent(found, "final.0", "playground.\(name).latent")
        }
    }

    /// First steps by the base model, last steps by the refiner: like Diffusers' two pipelines, and through DemoFusion.
    @Test func theRefinerEndsWhatTheBaseBegan() throws {
        let kind = try KindFixture.named("refiner")
        let start = try #require(kind.start)
        try inTemporaryFolder { folder in
            let refiner = try kind.assemble(in: folder)
            let more = ["--refiner", "\(refiner):\(start)"]
            try expectLatent(
                try render(kind, kind.base, more, in: folder),
                "final.0",
                "refiner.stock.latent"
            )
            let text = try #require(try PNGImage(file: "\(folder)/out.png").text["tessera"])
            #expect(text.contains("\"refiner\":\"refiner:0.6\""), "\(text)")
            let large = [
                "--border", "zeros", "--stride", "8", "--ladder", "1,2", "--sigma", "0.8",
            ]
            let found = try render(
                kind,
                kind.base,
                more + large,
                in: folder,
                noise: [
                    ("refiner.stock.noise", "base_noise"),
                    ("refiner.run.phase_noise.2", "phase_noise.2"),
                    ("refiner.run.jitter", "jitter"),
                ],
                size: 256
            )
            try expectLatent(found, "final.1", "refiner.run.final")
        }
    }

    /// With both methods, the same bytes from one worker and from two.
    @Test(arguments: ["refiner", "playground", "lcm", "ssd"], ["demofusion", "refine"])
    func largePicturesAreTheSameFromAnyWorkers(name: String, method: String) throws {
        let kind = try KindFixture.named(name)
        try inTemporaryFolder { folder in
            let path = try kind.assemble(in: folder)
            let model = name == "refiner" ? kind.base : path
            var flags = [
                "render", "--model", model, "--prompt", kind.prompt, "--size", "192x192",
                "--steps", "3", "--method", method, "--global-pass", "workers",
            ]
            if name == "refiner" { flags += ["--refiner", "\(path):0.8"] }
            var pictures: [[Float]] = []
            for workers in 1...2 {
                let dump = "\(folder)/\(workers).safetensors"
                let command = try Command(
                    flags + [
                        "--workers", "\(workers)", "--dump", dump, "--output",
                        "\(folder)/\(workers).png",
                    ]
                )
                #expect(command.status == 0, "\(command.errors)")
                pictures.append(try SafeTensors(file: dump).tensor("image").values)
            }
            #expect(pictures[0] == pictures[1])
            let isFinite = pictures[0].allSatisfy { $0.isFinite }
            #expect(isFinite)
        }
    }

    /// `plan` and `inspect` refuse what `render` refuses, with one line.
    @Test func refusalsComeBeforeRendering() throws {
        let kind = try KindFixture.named("refiner")
        try inTemporaryFolder { folder in
            let path = try kind.assemble(in: folder)
            let unet = "\(kind.base)/unet"
            let sd15 = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
            let refused: [(model: String, more: [String], part: String)] = [
                (path, [], "--refiner"), (unet, [], "--base"),
                (unet, ["--base", sd15], "another family"),
                (sd15, ["--refiner", path], "Stable Diffusion XL"),
                (kind.base, ["--refiner", "\(path):2"], "between 0 and 1"),
                (kind.base, ["--vae", "\(folder)/none"], "--vae"),
                (kind.base, ["--base", kind.base], "Leave it out"),
            ]
            for one in refused {
                for command in ["render", "plan", "inspect"] {
                    let flags =
                        command == "inspect"
                        ? [command, one.model]
                        : [
                            command, "--model", one.model, "--prompt", "a", "--size", "128x128",
                            "--output", "\(folder)/out.png",
                        ]
                    let result = try Command(flags + one.more)
                    #expect(result.status == 64, "\(flags) \(one.more): \(result.errors)")
                    #expect(result.complaints.count == 1, "\(result.errors)")
                    let said = result.errors + result.output
                    #expect(said.contains(one.part), "\(said)")
                }
            }
        }
    }

    @Test func inspectSaysWhatARenderWouldUse() throws {
        let (refiner, lcm) = (try KindFixture.named("refiner"), try KindFixture.named("lcm"))
        try inTemporaryFolder { folder in
            let path = try refiner.assemble(in: folder)
            let sd15 = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
            let command = try Command([
                "inspect", refiner.base, "--refiner", "\(path):0.7", "--vae", sd15, "--json",
            ])
            #expect(command.status == 0, "\(command.errors)")
            let fields = try #require(JSON(command.output.utf8, place: "inspect").object)
            for (key, part) in [
                ("refiner", "after 0.7"), ("latents", "times 0.18215"), ("latents", sd15),
                ("scheduler", "euler"), ("scheduler_known_from", "scheduler_config.json"),
                ("prediction", "epsilon"), ("prediction_known_from", "scheduler"),
                ("tokenizer_2", "tokens, from"), ("kind", "with the VAE of"),
            ] {
                let value = fields[key]?.string ?? ""
                #expect(value.contains(part), "\(key): \(value)")
            }
            let model = try lcm.assemble(in: folder)
            let said = try Command(["inspect", model]).output
            for part in ["an input of the UNet", "LCM, by the guidance input", "lcm"] {
                #expect(said.contains(part), "\(said)")
            }
            let plan = try Command([
                "plan", "--model", model, "--prompt", "a", "--size", "128x128", "--output",
                "\(folder)/out.png",
            ])
            #expect(plan.status == 0 && plan.errors.contains("guidance 8.5"), "\(plan.errors)")
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// The command line end to end.
@Suite(.serialized) struct CommandTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ folder: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", "a prompt — with “quotes”", "--size", "264x200",
            "--steps", "3", "--seed", "5", "--output", "\(folder)/out.png",
        ] + more
    }

    private func picture(_ more: [String]) throws -> Data {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, more))
            #expect(command.status == 0, "\(command.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out.png"])
            return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
        }
    }

    @Test(arguments: [
        [], ["--window-weight", "uniform"],
        ["--stride", "window", "--skip-below", "0.3", "--ladder", "auto"],
    ])
    func theSameBytesFromAnyWorkers(more: [String]) throws {
        let one = try picture(more + ["--workers", "1"])
        #expect(try picture(more + ["--workers", "2"]) == one)
        #expect(try picture(more + ["--workers", "3", "--threads-per-worker", "1"]) == one)
        #expect(try picture(more + ["--workers", "1", "--threads-per-worker", "3"]) == one)
        #expect(try picture(more + ["--workers", "1", "--seed", "6"]) != one)
    }

    @Test func aKilledWorkerChangesNothing() throws {
        let whole = try picture(["--steps", "12"])
        try inTemporaryFolder { folder in
            let running = try Command.Running(flags(folder, ["--steps", "12", "--workers", "2"]))
            #expect(running.waitFor("phase 2"))
            let victim = try #require(running.children.first)
            #expect(kill(victim, SIGKILL) == 0)
            let command = running.finish()
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("was killed by signal 9"), "\(command.errors)")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
            #expect(bytes == whole)
        }
    }

    @Test func aSignalEndsItCleanly() throws {
        try inTemporaryFolder { folder in
            let running = try Command.Running(flags(folder, ["--steps", "900", "--workers", "2"]))
            #expect(running.waitFor("phase 1"))
            let children = running.children
            #expect(children.count == 2)
            kill(running.process.processIdentifier, SIGINT)
            let command = running.finish()
            #expect(command.status == 130)
            #expect(command.complaints == ["tessera: interrupted"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            #expect(children.allSatisfy { kill($0, 0) != 0 })
        }
    }

    @Test func thePictureRecordsItsSettings() throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                flags(folder, ["--save-phases", "\(folder)/phases", "--guidance", "1"])
            )
            #expect(command.status == 0, "\(command.errors)")
            let image = try PNGImage(file: "\(folder)/out.png")
            #expect((image.width, image.height) == (264, 200))
            let parameters = try #require(image.text["parameters"])
            #expect(parameters.hasPrefix("a prompt — with “quotes”\n"))
            #expect(parameters.contains("Steps: 3,") && parameters.contains("Seed: 5,"))
            let json = try JSON(try #require(image.text["tessera"]).utf8, place: "png").object
            #expect(json?["prompt"] == .string("a prompt — with “quotes”"))
            #expect(json?["seed"] == .string("5"))
            let phases = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/phases")
            let sizes = try phases.sorted().map { name in
                let phase = try PNGImage(file: "\(folder)/phases/\(name)")
                return "\(phase.width)x\(phase.height)"
            }
            #expect(sizes.last == "264x200")
            #expect(phases.sorted().allSatisfy { $0.hasSuffix(".png") })
            #expect(phases.count == sizes.count && phases.count > 1)
        }
    }

    /// Planned views, UNet calls and bytes are those of the render, whatever the method.
    @Test(arguments: [
        [], ["--ladder", "auto", "--stride", "window", "--skip-below", "0.2", "--wire", "f16"],
        ["--global-pass", "workers", "--guidance", "1", "--size", "400x72"],
    ])
    func thePlanIsWhatIsRendered(more: [String]) throws {
        try inTemporaryFolder { folder in
            var plan = flags(folder, more)
            plan[0] = "plan"
            let planned = try Command(plan)
            let views = try planned.row("views").first.flatMap { Int($0) }
            let rendered = try Command(flags(folder, more))
            #expect(rendered.status == 0, "\(rendered.errors)")
            let lines = rendered.errors.split(separator: "\n")
            let done = lines.compactMap { line -> Int? in
                guard line.hasPrefix("local-") || line.hasPrefix("coordinator:") else {
                    return nil
                }
                return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            }
            if !more.contains("workers") { #expect(views == done.reduce(0, +)) }
            let calls = try #require(try planned.row("UNet calls").first)
            let moved = try planned.row("latents moved").prefix(2).joined(separator: " ")
            let tiles = try planned.row("decoding").suffix(3).prefix(2).joined(separator: " ")
            let sum = "\(calls) UNet calls, \(moved) of latents and \(tiles) of tiles moved"
            #expect(lines.contains { $0 == sum }, "\(planned.output)\(rendered.errors)")
        }
    }

    /// The time estimate comes from workers that were really started.
    @Test func thePlanTimesTheWorkers() throws {
        var plan = flags("/tmp", ["--measure", "--workers", "2"])
        plan[0] = "plan"
        let command = try Command(plan)
        #expect(command.status == 0, "\(command.errors)")
        for part in ["time              about", "2 workers", "local-1", "local-2", "views/s"] {
            #expect(command.output.contains(part), "\(part) in \(command.output)")
        }
        plan.removeAll { $0 == "--measure" }
        #expect(try Command(plan).output.contains("--measure"))
    }

    @Test(arguments: [
        ["--size", "64x320"], ["--size", "104x64"], ["--size", "256x256", "--ladder", "1"],
        ["--size", "320x320", "--ladder", "1,1.5,2.5"], ["--rng", "philox"],
        ["--scheduler", "lcm", "--guidance", "0"], ["--scheduler", "dpmpp_2m", "--karras"],
        ["--ladder", "auto", "--size", "400x64"], ["--stride", "window", "--ladder", "auto"],
        ["--window-weight", "uniform"], ["--skip-below", "0.5"],
        ["--scheduler", "euler_a"], ["--border", "zeros", "--size", "40x400"],
    ])
    func rendersAnyShapeAndMethod(more: [String]) throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, more))
            #expect(command.status == 0, "\(command.errors)")
            _ = try PNGImage(file: "\(folder)/out.png")
        }
    }

    @Test(arguments: [
        (["--size", "100x100"], "--size"), (["--steps", "0"], "--steps"),
        (["--model", "/nowhere"], "/nowhere"), (["--guidance", "nan"], "--guidance"),
        (["--output", "/nowhere/out.png"], "/nowhere"), (["--output", "out.gif"], "out.gif"),
        (["--stride", "400"], "--stride"),
        (["--ladder", "2,1"], "--ladder"), (["--scheduler", "pndm", "--karras"], "--karras"),
        (["--cosine-scales", "1,2"], "--cosine-scales"), (["--inputs", "/nowhere"], "/nowhere"),
        (["--cluster", "/nowhere.yaml"], "/nowhere.yaml"), (["--prompt", ""], "--prompt"),
        (["--size", "8x8000", "--ladder", "1,2"], "--size"),
        (["--skip-below", "0.6"], "--skip-below"), (["--skip-below", "nan"], "--skip-below"),
        (["--stride", "window", "--window-weight", "gaussian"], "--window-weight"),
        (["--backend", "openblas", "--precision", "bf16"], "--precision"),
    ])
    func saysInOneLineWhatIsWrong(more: [String], part: String) throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, more))
            #expect(command.status == 64, "\(more): \(command.errors)")
            #expect(command.complaints.count == 1, "\(command.errors)")
            #expect(command.complaints.first?.contains(part) == true, "\(command.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test func doctorSaysWhatItChose() throws {
        let command = try Command(["doctor", "--backend", "openblas"])
        #expect(command.output.contains("GPU  "), "GPUs are not mentioned")
        #expect(command.status == 0, "\(command.errors)")
        for part in ["oneDNN", "cores", "backend", "openblas", "f32", "was requested"] {
            #expect(command.output.contains(part), "\(part) in \(command.output)")
        }
    }

    @Test(arguments: ["unet", "vae"]) func damagedWeightsAreNamed(part: String) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: model, toPath: copy)
            let weights = "\(copy)/\(part)/diffusion_pytorch_model.safetensors"
            let whole = try Data(contentsOf: URL(fileURLWithPath: weights))
            try whole.dropLast(100).write(to: URL(fileURLWithPath: weights))
            let command = try Command(flags(folder, ["--model", copy]))
            #expect(command.status == 64, "\(command.errors)")
            #expect(command.complaints.count == 1, "\(command.errors)")
            #expect(command.complaints.first?.contains(weights) == true, "\(command.errors)")
        }
    }

    /// A coordinator and workers started by hand over TCP give the same bytes as `render`.
    @Test func manuallyStartedCoordinatorAndWorkersGiveTheSameBytes() throws {
        let whole = try picture([])
        try inTemporaryFolder { folder in
            let port = 20_000 + Int(getpid()) % 20_000
            let endpoint = "tcp://127.0.0.1:\(port)"
            var byHand = flags(folder, ["--bind", endpoint])
            byHand[0] = "coordinator"
            let coordinator = try Command.Running(byHand)
            let workers = try (0..<2).map { _ in
                try Command.Running(["worker", "--connect", endpoint, "--model", model])
            }
            let command = coordinator.finish()
            for worker in workers {
                kill(worker.process.processIdentifier, SIGTERM)
                #expect(worker.finish().status == 0)
            }
            #expect(command.status == 0, "\(command.errors)")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
            #expect(bytes == whole)
        }
    }

    @Test(arguments: ["tcp://0.0.0.0:7551", "tcp://192.168.1.2:7551", "udp://127.0.0.1:1"])
    func bindsToNothingBeyondThisHost(endpoint: String) throws {
        try inTemporaryFolder { folder in
            var arguments = flags(folder, ["--bind", endpoint])
            arguments[0] = "coordinator"
            let command = try Command(arguments)
            #expect(command.status == 64, "\(command.errors)")
            #expect(command.complaints.count == 1, "\(command.errors)")
            #expect(command.complaints.first?.contains(endpoint) == true, "\(command.errors)")
        }
    }

    @Test(arguments: [
        ("workrs: 2\n", ":1: "), ("hosts: [\n", "not YAML"), ("", "mapping"),
        ("hosts:\n  - name: localhost\n    workers: many\n", ":3: "),
    ])
    func clusterFilesAreCheckedByLine(text: String, part: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/cluster.yaml"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let command = try Command(flags(folder, ["--cluster", file]))
            #expect(command.status == 64, "\(text): \(command.errors)")
            #expect(command.complaints.count == 1, "\(command.errors)")
            #expect(command.complaints.first?.contains(file) == true, "\(command.errors)")
            #expect(command.complaints.first?.contains(part) == true, "\(command.errors)")
        }
    }

    @Test func unknownOptionsOfAModelAreNamed() throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: model, toPath: copy)
            let config = "\(copy)/unet/config.json"
            let text = try String(contentsOfFile: config, encoding: .utf8)
            try text.replacing("{", with: "{\"a_new_option\": 3,", maxReplacements: 1)
                .write(toFile: config, atomically: true, encoding: .utf8)
            let command = try Command(flags(folder, ["--model", copy]))
            #expect(command.status == 64)
            #expect(command.complaints.first?.contains("a_new_option") == true)
        }
    }

    @Test func inspectsFoldersFilesAndLoRAs() throws {
        let layout = try SingleFileLayout("sdxl", size: "fixture")
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            try layout.write(to: file)
            let lora = "\(SingleFileLayout.ownFixtures)/lora/sdxl-kohya.safetensors"
            for (arguments, parts) in [
                (
                    [layout.folder],
                    ["Stable Diffusion XL", "128x128", "epsilon", "nothing is missing"]
                ),
                (
                    [file, "--model-config", layout.folder],
                    ["Stable Diffusion XL", "128x128", "single file", "alphas_cumprod"]
                ),
                ([lora], ["LoRA", "kohya", "of rank 2"]),
                ([file], ["missing:", "--model-config"]),
            ] {
                let command = try Command(["inspect"] + arguments)
                // A file that lacks what a render needs is described, then refused as a render would refuse it.
                let isWhole = !parts.contains("missing:")
                #expect(command.status == (isWhole ? 0 : 64), "\(command.errors)")
                #expect(command.complaints.count == (isWhole ? 0 : 1))
                for part in parts { #expect(command.output.contains(part), "\(command.output)") }
            }
            let json = try Command(["inspect", "--json", layout.folder, "--lora", "\(lora):0.5"])
            let fields = try JSON(json.output.utf8, place: "inspect").object
            #expect(fields?["native_size"] == .string("128x128"))
            #expect(fields?["digest"]?.string?.count == 64)
            #expect(fields?["missing"] == .array([]))
            let unet = fields?["parts"]?.array?.first?.object
            #expect(unet?["name"] == .string("unet"))
            #expect(unet?["parameters"]?.integer == 2_931_652)
            for wrong in ["/nowhere", folder, "\(layout.folder)/unet/config.json"] {
                let command = try Command(["inspect", wrong])
                #expect(command.status == 64)
                #expect(command.complaints.count == 1 && command.output.isEmpty)
                #expect(command.complaints.first?.contains(wrong) == true)
            }
        }
    }

    /// A single file renders the same picture as the folder, and a LoRA changes it; worker processes get everything
    /// that they need.
    @Test func rendersSingleFilesAndLoRAs() throws {
        let layout = try SingleFileLayout("sd15", size: "fixture")
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            try layout.write(to: file)
            func picture(_ more: [String]) throws -> [Float] {
                let dump = "\(folder)/dump.safetensors"
                let command = try Command(flags(folder, more + ["--dump", dump, "--steps", "2"]))
                #expect(command.status == 0, "\(command.errors)")
                return try SafeTensors(file: dump).tensor("image").values
            }
            let single = ["--model", file, "--model-config", layout.folder]
            let whole = try picture(["--model", layout.folder])
            #expect(try picture(single) == whole)
            let lora = "\(SingleFileLayout.ownFixtures)/lora/sd15-kohya.safetensors:0.5"
            let changed = try picture(["--model", layout.folder, "--lora", lora])
            #expect(changed != whole)
            #expect(try picture(single + ["--lora", lora]) == changed)
            let text = try PNGImage(file: "\(folder)/out.png").text
            #expect(text["parameters"]?.contains("LoRA: \"sd15-kohya:0.5\"") == true)
        }
    }

    @Test(arguments: [
        (["--lora", "/nowhere"], "/nowhere"), (["--lora", "a:b"], "a:b"),
        (["--tokenizer", "/nowhere"], "--tokenizer"),
        (["--model-config", "/nowhere"], "--model-config"),
    ])
    func saysWhatIsWrongAboutTheModel(more: [String], part: String) throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, more))
            #expect(command.status == 64, "\(more): \(command.errors)")
            #expect(command.complaints.count == 1, "\(command.errors)")
            #expect(command.complaints.first?.contains(part) == true, "\(command.errors)")
        }
    }
}

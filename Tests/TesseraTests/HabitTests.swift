import Engine
import Foundation
import TestSupport
import Testing

/// What people bring from other programs and what they try: it works, or one line says why not.
@Suite struct HabitTests {
    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"
    private let photo = "\(fixtures)/inpaint/photo.png"
    private let mask = "\(fixtures)/inpaint/mask.png"

    private func flags(_ command: String, _ model: String, _ more: [String]) -> [String] {
        [
            command, "--model", "\(Self.fixtures)/\(model)", "--prompt", "a lake", "--steps", "3",
            "--workers", "1",
        ] + more
    }

    /// Samplers with noise levels other than their own, with both methods and any number of workers.
    @Test(arguments: ["euler_a_karras", "DDIM Beta", "lcm_sgm_uniform", "ddpm_exponential"])
    func levelsAreOfAnySampler(name: String) throws {
        try inTemporaryFolder { folder in
            for method in ["demofusion", "refine"] {
                var pictures: [Data?] = []
                for workers in ["1", "2"] {
                    let path = "\(folder)/\(workers).png"
                    let command = try Command(
                        flags(
                            "render",
                            "sd15-tiny",
                            [
                                "--scheduler", name, "--size", "128x128", "--method", method,
                                "--workers", workers, "--output", path, "--global-pass", "workers",
                            ]
                        )
                    )
                    #expect(command.status == 0, "\(command.errors)")
                    pictures.append(FileManager.default.contents(atPath: path))
                }
                #expect(pictures[0] != nil && pictures[0] == pictures[1])
            }
        }
    }

    /// A picture from A1111 or ComfyUI is repeated as far as the model can, whatever sampler and layers it names.
    @Test(
        arguments: [
            "Sampler: Euler a, Schedule type: Karras", "Sampler: DDIM, Schedule type: Beta",
            "Sampler: LCM, Schedule type: Karras", "Sampler: PLMS Karras",
            "Sampler: TCD, Schedule type: SGM Uniform", "Sampler: UniPC, Schedule type: Simple",
            "Sampler: DPM++ 2M, Schedule type: Align Your Steps", "Sampler: Euler, Clip skip: 1",
            "Sampler: Euler, Clip skip: 2", "Sampler: Euler, Clip skip: 20",
            "Sampler: Euler, Refiner: nowhere [0123456789], Refiner switch at: 0.7",
        ],
        ["sd15-tiny", "sdxl-tiny"]
    )
    func othersPicturesAreRepeated(line: String, model: String) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/old.png"
            let text =
                "a lake\nSteps: 60, \(line), CFG scale: 7, Seed: 1, Size: 64x64, Model: \(model)"
            let writer = try PNGWriter(
                file: path,
                width: 8,
                height: 8,
                text: [("parameters", text)]
            )
            try writer.write(rows: [UInt8](repeating: 9, count: 192))
            try writer.finish()
            let command = try Command(["plan", "--from-png", path, "--model-dir", Self.fixtures])
            #expect(command.status == 0, "\(command.errors)")
        }
    }

    /// An extension that --size crops away is refused, also with a mask; one that it shortens is reported.
    @Test func extensionsThatAreCroppedAreTold() throws {
        let extended = ["--init-image", photo, "--extend", "64,0,64,0"]
        for more in [[], ["--mask", mask]] {
            let all = flags("plan", "sd15-tiny", extended + more + ["--size", "128x128"])
            let command = try Command(all)
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            let line = command.complaints.first ?? ""
            for part in ["--extend 64,0,64,0", "256×128", "such as 256x128"] {
                #expect(line.contains(part), "\(line)")
            }
        }
        let cut = try Command(flags("plan", "sd15-tiny", extended + ["--size", "192x128"]))
        #expect(cut.status == 0 && cut.errors.contains("32 of 64 pixels left"), "\(cut.errors)")
        let whole = try Command(flags("plan", "sd15-tiny", extended))
        #expect(whole.status == 0 && !whole.errors.contains("cut off"), "\(whole.errors)")
        // Sides are multiples of eight, so part of it is cut off.
        let odd = try Command(
            flags("plan", "sd15-tiny", ["--init-image", photo, "--extend", "5,0,0,0"])
        )
        #expect(odd.status == 0 && odd.errors.contains("of 5 pixels left"), "\(odd.errors)")
    }

    /// A sampler's name may include noise levels; flags that name others are refused.
    @Test func contradictoryLevelsAreRefused() throws {
        for more in [["--no-karras"], ["--sigmas", "beta"]] {
            let command = try Command(
                flags("plan", "sd15-tiny", ["--prompt", "a", "--scheduler", "euler_karras"] + more)
            )
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            #expect(command.errors.contains("leave one of them out"), "\(command.errors)")
        }
        for more in [["--karras"], ["--sigmas", "karras"], []] {
            let command = try Command(
                flags("plan", "sd15-tiny", ["--prompt", "a", "--scheduler", "euler_karras"] + more)
            )
            #expect(command.status == 0, "\(command.errors)")
        }
    }

    /// The tiny models' widths do not tell families apart: an adapter that fits by chance is reported.
    @Test func adaptersThatFitByChanceAreTold() throws {
        let lora = "\(Self.fixtures)/lora/sd21-kohya.safetensors"
        let command = try Command(
            flags("plan", "sd15-tiny", ["--prompt", "a", "--lora", lora])
        )
        #expect(command.status == 0, "\(command.errors)")
        #expect(command.errors.contains("was made for Stable Diffusion 2"), "\(command.errors)")
    }

    /// An adapter of another family is reported as such, and so is a part that the model does not have.
    @Test(
        arguments: [
            (
                "sd15-tiny", "lora/sdxl-kohya", "",
                ["made for Stable Diffusion XL", "this model is Stable Diffusion 1"]
            ),
            (
                "sdxl-tiny", "lora/sd15-kohya", "",
                ["made for Stable Diffusion 1", "this model is Stable Diffusion XL"]
            ),
            ("sd15-tiny", "adapters/sdxl-comfy", "", ["made for Stable Diffusion XL"]),
            (
                "sd15-tiny", "lora/sd15-kohya", ":te2=0.5",
                ["no part 'te2'", "unet, te, te1, down, down.0 to down."]
            ),
            ("sdxl-tiny", "lora/sdxl-kohya", ":0.8:up.9=1", ["no part 'up.9'", "te1, te2"]),
        ] as [(String, String, String, [String])]
    )
    func adaptersThatDoNotFit(
        model: String,
        file: String,
        weights: String,
        parts: [String]
    ) throws {
        let lora = "\(Self.fixtures)/\(file).safetensors"
        let commands = [
            flags(
                "render",
                model,
                ["--size", "64x64", "--lora", lora + weights, "--output", "/tmp/x.png"]
            ),
            flags("plan", model, ["--size", "64x64", "--lora", lora + weights]),
            ["inspect", "\(Self.fixtures)/\(model)", "--lora", lora + weights],
        ]
        for words in commands {
            let command = try Command(words)
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            for part in parts { #expect(command.errors.contains(part), "\(command.errors)") }
        }
    }

    /// Folders that hold parts of a model, and PEFT folders, are recognised.
    @Test(
        arguments: [
            ("sdxl-tiny/vae", ["autoencoder alone", "--vae"]),
            (
                "sdxl-tiny/text_encoder_2",
                ["text encoder alone", "name the folder above it", "vocabulary"]
            ),
            ("sdxl-tiny/scheduler", ["scheduler of a model", "euler", "epsilon"]),
            ("sdxl-tiny/tokenizer", ["tokenizer, folder", "2014 tokens"]),
            ("adapters/peft-lora", ["DoRA, folder", "adapter_model.safetensors"]),
            ("lora/sdxl-kohya.safetensors", ["made for", "Stable Diffusion XL"]),
        ] as [(String, [String])]
    )
    func partsAreInspected(path: String, parts: [String]) throws {
        let command = try Command(["inspect", "\(Self.fixtures)/\(path)"])
        #expect(command.status == 0, "\(command.errors)")
        for part in parts { #expect(command.output.contains(part), "\(command.output)") }
        let json = try Command(["inspect", "\(Self.fixtures)/\(path)", "--json"])
        #expect(try JSON(json.output.utf8, place: "json").object?["kind"] != nil)
    }

    /// Files that are not weights are reported as what they are.
    @Test func otherFilesAreNamed() throws {
        let config = "\(Self.fixtures)/sdxl-tiny/vae/config.json"
        for (path, part) in [(photo, "it is a PNG"), (config, "it is a JSON file")] {
            for words in [
                ["inspect", path], flags("plan", "sdxl-tiny", ["--size", "64x64", "--lora", path]),
                flags("plan", "sdxl-tiny", ["--size", "64x64", "--vae", path]),
            ] {
                let command = try Command(words)
                #expect(command.status == 64 && command.errors.contains(part), "\(command.errors)")
            }
        }
    }

    /// Align Your Steps with a model that was trained on another noise schedule.
    @Test func levelsOfAnotherScheduleAreTold() throws {
        try inTemporaryFolder { folder in
            let model = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: "\(Self.fixtures)/sd15-tiny",
                toPath: model
            )
            let file = "\(model)/scheduler/scheduler_config.json"
            let words = [
                "plan", "--model", model, "--prompt", "a", "--size", "64x64", "--steps", "3",
                "--scheduler", "euler_ays",
            ]
            let own = try Command(words)
            #expect(own.status == 0 && !own.errors.contains("another one"), "\(own.errors)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
                .replacing("\"beta_end\": 0.012", with: "\"beta_end\": 0.02")
            try FileManager.default.removeItem(atPath: file)
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let other = try Command(words)
            #expect(other.status == 0 && other.errors.contains("trained on another one"))
        }
    }

    /// A PEFT folder as an adapter, and the picture that was made with it.
    @Test func foldersOfPEFTAreAdapters() throws {
        try inTemporaryFolder { folder in
            let peft = "\(Self.fixtures)/adapters/peft-lora"
            let outputs = ["folder", "file"].map { "\(folder)/\($0).png" }
            for (lora, output) in zip([peft, "\(peft)/adapter_model.safetensors"], outputs) {
                let command = try Command(
                    flags(
                        "render",
                        "sd15-tiny",
                        ["--size", "64x64", "--lora", "\(lora):0.5", "--output", output]
                    )
                )
                #expect(command.status == 0, "\(command.errors)")
            }
            // Also by its name in a prompt, with the file extension that people copy.
            for tag in ["<lora:peft-lora:0.5>", "<lora:sd15-loha.safetensors:0.5>"] {
                let tagged = try Command(
                    flags(
                        "plan",
                        "sd15-tiny",
                        [
                            "--size", "64x64", "--prompt-syntax", "a1111", "--lora-dir",
                            "\(Self.fixtures)/adapters", "--prompt", "a lake \(tag)",
                        ]
                    )
                )
                #expect(tagged.status == 0, "\(tagged.errors)")
            }
            let again = try Command([
                "render", "--from-png", outputs[0], "--model-dir", Self.fixtures, "--lora-dir",
                "\(Self.fixtures)/adapters", "--workers", "1", "--output", "\(folder)/again.png",
            ])
            #expect(again.status == 0 && !again.errors.contains("warning"), "\(again.errors)")
            let pictures = (outputs + ["\(folder)/again.png"]).map {
                FileManager.default.contents(atPath: $0)
            }
            #expect(pictures[0] != nil && pictures.allSatisfy { $0 == pictures[0] })
        }
    }

    /// `plan --json` has everything that a render would use.
    @Test func plansSayWhatARenderWouldUse() throws {
        let lora = "\(Self.fixtures)/lora/sdxl-kohya.safetensors"
        let words = flags(
            "plan",
            "sdxl-tiny",
            [
                "--size", "64x64", "--scheduler", "dpmpp_2m_karras", "--guidance", "3.3", "--lora",
                "\(lora):0.5",
                "--precision", "f32", "--backend", "openblas", "--json",
            ]
        )
        for more in [[], ["--count", "2"]] {
            let command = try Command(words + more)
            #expect(command.status == 0, "\(command.errors)")
            var fields = try JSON(command.output.utf8, place: "json").object
            if !more.isEmpty {
                fields = fields?["groups"]?.array?.first?.object?["plan"]?.object
            }
            let found = try #require(fields)
            #expect(found["model"] == .string("\(Self.fixtures)/sdxl-tiny"))
            #expect(found["family"] == .string("Stable Diffusion XL"))
            #expect(found["scheduler"] == .string("dpmpp_2m"))
            #expect(found["guidance"] == .number(3.3) && found["steps"] == .number(3))
            #expect(found["precision"] == .string("f32") && found["backend"] == .string("openblas"))
            #expect(found["prediction"] == .string("epsilon"))
            #expect(found["adapters"] == .array([.string("\(lora):0.5")]))
            #expect(found["method"] == .string("demofusion") && found["unet_calls"] != nil)
            let settings = try #require(found["settings"]?.object)
            #expect(settings["karras"] == .bool(true) && settings["prompt"] == .string("a lake"))
            // Settings at their defaults as well, by the names of their flags.
            for name in ["method", "decode-margin", "wire", "prompt-syntax"] {
                #expect(settings[name] != nil, "\(name) of \(settings.keys)")
            }
        }
        let table = try Command(words.filter { $0 != "--json" }).output
        for part in ["dpmpp_2m, karras", "guidance 3.3", "openblas in f32", lora] {
            #expect(table.contains(part), "\(table)")
        }
    }

    private static let python = "/work/venv/bin/python"

    /// The printed command for converting pickles makes readable files from A1111's textual inversions, checkpoints and
    /// Diffusers' embeddings.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: python)))
    func picklesAreConverted() throws {
        try inTemporaryFolder { folder in
            let script = """
                import torch
                v = torch.nn.Parameter(torch.ones(2, 32))
                torch.save({'string_to_token': {'*': 265}, 'string_to_param': {'*': v}, 'name': 'cat', 'step': 5}, 'a.pt')
                torch.save({'<cat>': torch.ones(32)}, 'b.bin')
                torch.save({'epoch': 1, 'state_dict': {'x': torch.ones(3)[:2], 'y': 'no'}}, 'c.ckpt')
                torch.save({'epoch': 1}, 'd.pt')
                """
            try script.write(toFile: "\(folder)/make.py", atomically: true, encoding: .utf8)
            func run(_ line: String) throws -> Int32 {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/bin/sh")
                process.arguments = ["-c", line]
                process.currentDirectoryURL = URL(fileURLWithPath: folder)
                process.standardError = FileHandle.nullDevice
                try process.run()
                process.waitUntilExit()
                return process.terminationStatus
            }
            #expect(try run("\(Self.python) make.py") == 0)
            for (file, name) in [
                ("a.pt", "emb_params"), ("b.bin", "<cat>"), ("c.ckpt", "x"), ("d.pt", nil),
            ] as [(String, String?)] {
                let refused = try Command(["inspect", "\(folder)/\(file)"])
                #expect(refused.errors.contains(Conversion.pickleCommand), "\(refused.errors)")
                let line = Conversion.pickleCommand
                    .replacing("python3", with: Self.python)
                    .replacing("OLD NEW.safetensors", with: "\(file) out.safetensors")
                let status = try run(line)
                guard let name else {
                    #expect(status != 0)
                    continue
                }
                #expect(status == 0)
                #expect(try SafeTensors(file: "\(folder)/out.safetensors").names == [name])
            }
            try FileManager.default.removeItem(atPath: "\(folder)/out.safetensors")
            _ = try run(
                Conversion.pickleCommand.replacing("python3", with: Self.python)
                    .replacing("OLD NEW.safetensors", with: "a.pt cat.safetensors")
            )
            let used = try Command(
                flags(
                    "plan",
                    "sd15-tiny",
                    [
                        "--size", "64x64", "--embedding", "\(folder)/cat.safetensors", "--prompt",
                        "a cat",
                    ]
                )
            )
            #expect(used.status == 0, "\(used.errors)")
        }
    }

    /// The documentation and the program print the same command.
    @Test func theManualHasTheCommand() throws {
        let page = try String(
            contentsOfFile: "\(Fixtures.packageRoot)/docs/models.md",
            encoding: .utf8
        )
        #expect(page.contains(Conversion.pickleCommand))
    }
}

import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// How pictures from other programs are repeated: the flags that their texts become.
@Suite struct RepeatTests {
    /// Writes a picture with a text.
    static func picture(
        _ text: [(key: String, value: String)],
        in folder: String,
        depth: PixelDepth = .eight
    ) throws -> String {
        let path = "\(folder)/old.png"
        let writer = try PNGWriter(file: path, width: 8, height: 8, depth: depth, text: text)
        try writer.write(rows: [UInt8](repeating: 9, count: 8 * 8 * depth.pixel))
        try writer.finish()
        return path
    }

    func recipe(
        _ text: [(key: String, value: String)],
        _ change: (inout PictureRecipe.Request) -> Void = { _ in }
    ) throws -> PictureRecipe {
        try inTemporaryFolder { folder in
            let path = try Self.picture(text, in: folder)
            var request = PictureRecipe.Request(path: path)
            change(&request)
            return try PictureRecipe(request)
        }
    }

    let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    @Test func infotextOfA1111() throws {
        let text = """
            a (red:1.2) house, [by the:near a:0.5] lake <lora:sd15-loha:0.7> <lora:none:1> <hypernet:x:1>
            second line
            Negative prompt: blurry, text
            Steps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 6.5, Seed: 965640535, Size: 512x768, \
            Model hash: 6ce0161689, Model: sd15-tiny, VAE hash: 735e4c3a44, VAE: vae-ft-mse.safetensors, \
            Clip skip: 2, ControlNet 0: "Module: canny, Model: x", TI hashes: "easyneg: c74b4e810b03", \
            Lora hashes: "sd15-loha: 1234", Version: v1.9.4
            """
        let found = try recipe([("parameters", text)]) {
            $0.modelFolder = fixtures
            $0.loraFolder = "\(fixtures)/adapters"
        }
        let prompt =
            "a (red:1.2) house, [by the:near a:0.5] lake <lora:sd15-loha:0.7>  \nsecond line"
        for word in [
            "--prompt-syntax=a1111", "--prompt=\(prompt)", "--negative-prompt=blurry, text",
            "--steps=20", "--scheduler=dpmpp_2m", "--karras", "--guidance=6.5", "--seed=965640535",
            "--size=512x768", "--clip-skip=2", "--rng=philox", "--model=\(fixtures)/sd15-tiny",
        ] {
            #expect(found.arguments.contains(word), "\(word) of \(found.arguments)")
        }
        #expect(found.arguments.count == 12)
        let warned = [
            "<lora:none:1>", "<hypernet:x:1>", "'easyneg'", "vae-ft-mse.safetensors",
            "ControlNet 0",
        ]
        for part in warned {
            #expect(found.warnings.count { $0.contains(part) } == 1, "\(part): \(found.warnings)")
        }
        #expect(found.warnings.count == warned.count, "\(found.warnings)")
    }

    /// Lines of settings, the flags that they become besides the common ones, and the warnings.
    private static let lines: [(String, [String], [String])] = [
        ("Sampler: Euler a", ["--scheduler=euler_a", "--timestep-spacing=linspace"], []),
        ("Sampler: DPM++ 2M SDE Karras", ["--scheduler=dpmpp_2m_sde", "--karras"], []),
        (
            "Sampler: DPM++ 3M SDE, Schedule type: Automatic",
            ["--scheduler=dpmpp_3m_sde", "--sigmas=exponential"], []
        ),
        (
            "Sampler: Euler, Schedule type: SGM Uniform",
            ["--scheduler=euler", "--sigmas=sgm_uniform"], []
        ),
        ("Sampler: Euler, Schedule type: KL Optimal", ["--scheduler=euler"], ["'KL Optimal'"]),
        ("Sampler: DPM adaptive", [], ["'DPM adaptive'"]),
        (
            "Sampler: Euler a, Schedule type: Karras",
            ["--scheduler=euler_a", "--karras", "--timestep-spacing=linspace"], []
        ),
        (
            "Sampler: LCM, Schedule type: SGM Uniform",
            ["--scheduler=lcm", "--sigmas=sgm_uniform"], []
        ),
        (
            "Sampler: Euler, Schedule type: Polyexponential",
            ["--scheduler=euler", "--sigmas=exponential", "--timestep-spacing=linspace"], []
        ),
        // A1111 writes the schedule type, but does not use it.
        (
            "Sampler: DDIM, Schedule type: Karras", ["--scheduler=ddim"],
            ["'Karras' changes nothing"]
        ),
        (
            "Sampler: UniPC, Schedule type: Beta", ["--scheduler=unipc"],
            ["'Beta' changes nothing", "as Diffusers does"]
        ),
        ("Sampler: PLMS, Schedule type: Automatic", ["--scheduler=pndm"], []),
        ("Sampler: PLMS Karras", ["--scheduler=pndm"], ["noise levels (karras)"]),
        ("Sampler: TCD, Schedule type: Simple", ["--scheduler=tcd"], ["noise levels (simple)"]),
        (
            "Sampler: DPM++ 2M, Schedule type: Align Your Steps",
            ["--scheduler=dpmpp_2m", "--sigmas=ays"], ["differs slightly from A1111"]
        ),
        ("Sampler: DDIM, Clip skip: 1", ["--scheduler=ddim"], []),
        ("Sampler: DDIM, Clip skip: 2", ["--scheduler=ddim", "--clip-skip=2"], []),
        ("Sampler: DDIM, Clip skip: 12", ["--scheduler=ddim"], ["clip skip (12)"]),
        (
            "Sampler: DDIM, Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.8",
            ["--scheduler=ddim"], ["'sd_xl_refiner_1.0' is not found"]
        ),
        (
            "Sampler: DDIM, Refiner: sdxl-tiny [7440042bbd], Refiner switch at: 0.8",
            ["--scheduler=ddim"], ["'sdxl-tiny' is left out"]
        ),
        ("Sampler: DDIM, RNG: CPU", ["--scheduler=ddim"], []),
        (
            "Sampler: DDIM, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent",
            ["--scheduler=ddim"], ["Hires upscale: 2"]
        ),
        ("Sampler: DDIM, Denoising strength: 0.5", ["--scheduler=ddim"], ["--init-image"]),
        (
            "Sampler: DDIM, ENSD: 31337, Variation seed: 5", ["--scheduler=ddim"],
            ["'ENSD'", "'Variation seed'"]
        ),
    ]

    @Test(arguments: lines)
    func samplersOfA1111(line: String, flags: [String], warned: [String]) throws {
        let text = "a lake\nSteps: 5, \(line), CFG scale: 7, Seed: 1, Size: 64x64, Model: sd15-tiny"
        let found = try recipe([("parameters", text)]) { $0.modelFolder = fixtures }
        let common = [
            "--prompt-syntax=a1111", "--prompt=a lake", "--steps=5", "--guidance=7", "--seed=1",
            "--size=64x64", "--rng=\(line.contains("RNG") ? "torch" : "philox")",
            "--model=\(fixtures)/sd15-tiny",
        ]
        #expect(Set(found.arguments) == Set(common + flags), "\(found.arguments)")
        #expect(found.warnings.count == warned.count, "\(found.warnings)")
        for part in warned { #expect(found.warnings.contains { $0.contains(part) }, "\(part)") }
    }

    /// In A1111, clip skip means something only for Stable Diffusion 1.
    @Test(
        arguments: [
            ("sdxl-tiny", "1", []), ("sdxl-tiny", "2", []), ("sdxl-tiny", "3", ["'Clip skip' (3)"]),
            ("sd21-tiny", "2", []), ("sd21-tiny", "3", ["'Clip skip' (3)"]),
        ] as [(String, String, [String])]
    )
    func clipSkipOfOtherFamilies(model: String, skip: String, warned: [String]) throws {
        let text =
            "a\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, "
            + "Model: \(model), Clip skip: \(skip)"
        let found = try recipe([("parameters", text)]) { $0.modelFolder = fixtures }
        #expect(!found.arguments.contains { $0.hasPrefix("--clip-skip") })
        #expect(found.warnings.count == warned.count, "\(found.warnings)")
        for part in warned { #expect(found.warnings.contains { $0.contains(part) }) }
    }

    /// ComfyUI's last CLIP layer is not read with SDXL; samplers with noise levels other than their own.
    @Test(
        arguments: [
            ("ddim", "karras", ["--scheduler=ddim", "--karras"], 0),
            ("lcm", "sgm_uniform", ["--scheduler=lcm", "--sigmas=sgm_uniform"], 0),
            (
                "euler_ancestral", "beta",
                ["--scheduler=euler_a", "--sigmas=beta", "--timestep-spacing=linspace"], 1
            ),
        ] as [(String, String, [String], Int)]
    )
    func levelsOfComfyUI(sampler: String, scheduler: String, flags: [String], warned: Int) throws {
        let graph = Self.graph
            .replacing(
                "\"dpmpp_2m_sde_gpu\", \"scheduler\": \"karras\"",
                with: "\"\(sampler)\", \"scheduler\": \"\(scheduler)\""
            )
            .replacing("sd15-tiny.safetensors", with: "sdxl-tiny.safetensors")
            .replacing("\"stop_at_clip_layer\": -2", with: "\"stop_at_clip_layer\": -1")
        let found = try recipe([("prompt", graph)]) {
            $0.modelFolder = fixtures
            $0.loraFolder = "\(fixtures)/adapters"
        }
        for flag in flags { #expect(found.arguments.contains(flag), "\(found.arguments)") }
        #expect(!found.arguments.contains { $0.hasPrefix("--clip-skip") })
        #expect(found.warnings.contains { $0.contains("clip skip (1)") }, "\(found.warnings)")
        #expect(found.warnings.count == 4 + warned, "\(found.warnings)")
    }

    /// A1111 hashes what follows a LoRA's header, other programs the whole file.
    @Test func aLoRAWithOtherContentsIsSaid() throws {
        let file = "\(fixtures)/adapters/sd15-loha.safetensors"
        let whole = try FileHash.sha256(of: file)
        let data = try FileHash.sha256(of: file, from: SafeTensors(file: file).headerBytes)
        #expect(whole != data)
        for (hash, isSaid) in [(whole, false), (data, false), ("0123456789ab", true), ("x", false)]
        {
            let line =
                "Steps: 2, Sampler: Euler, Seed: 1, Lora hashes: \"sd15-loha: \(hash.prefix(12))\", Size: 64x64"
            let found = try recipe([("parameters", "a <lora:sd15-loha:1>\n\(line)")]) {
                $0.loraFolder = "\(fixtures)/adapters"
            }
            #expect(
                found.warnings.contains { $0.contains("another one") } == isSaid,
                "\(hash): \(found.warnings)"
            )
        }
    }

    /// Civitai writes its hashes as an object without quotes.
    @Test func hashesOfCivitaiAreOneField() {
        let line =
            "Steps: 2, Seed: 1, Hashes: {\"model\": \"0123\", \"lora:x\": \"4567\"}, Version: 1"
        let fields = Infotext("a\n\(line)").fields
        #expect(fields.map(\.key) == ["Steps", "Seed", "Hashes", "Version"], "\(fields)")
    }

    /// Flags override what a picture says, and whatever depends on it.
    @Test func flagsOverrideThePicture() throws {
        let text = """
            {"version": "\(RenderSession.version)", "prompt": "a", "steps": 9, "scheduler": "euler", "karras": true,
            "ladder": [1, 2], "size": "128x128", "window-weight": "gaussian", "stride": 4}
            """
        func words(_ given: Set<String>) throws -> Set<String> {
            Set(try recipe([("tessera", text)]) { $0.given = given.union(["model"]) }.arguments)
        }
        let all = try words([])
        #expect(
            all == [
                "--prompt=a", "--steps=9", "--scheduler=euler", "--karras", "--ladder=1,2",
                "--size=128x128", "--window-weight=gaussian", "--stride=4", "--no-model-preset",
            ]
        )
        #expect(try all.subtracting(words(["size"])) == ["--size=128x128", "--ladder=1,2"])
        #expect(try all.subtracting(words(["scheduler"])) == ["--scheduler=euler", "--karras"])
        #expect(try all.subtracting(words(["sigmas"])) == ["--karras"])
        #expect(try all.subtracting(words(["prompt", "steps"])) == ["--prompt=a", "--steps=9"])
        #expect(
            try all.subtracting(words(["method"])) == [
                "--ladder=1,2", "--window-weight=gaussian", "--stride=4",
            ]
        )
        // Pictures without this setting had uniform weights.
        let older = text.replacing("\"window-weight\": \"gaussian\", ", with: "")
        #expect(try recipe([("tessera", older)]).arguments.contains("--window-weight=uniform"))
    }

    /// The plan of a picture from the tiny model.
    private func plan(_ settings: RenderSettings) throws -> RenderPlan {
        try RenderPlan(
            settings,
            model: ModelGeometry(
                nativeLatentSide: 8,
                vaeFactor: 8,
                latentChannels: 4,
                usesTimeIDs: false
            ),
            scheduler: try Scheduler(
                settings.scheduler,
                config: SchedulerConfig(
                    file: "\(fixtures)/sd15-tiny/scheduler/scheduler_config.json"
                ),
                steps: settings.steps,
                choice: settings.schedule
            )
        )
    }

    /// Whatever a picture's JSON has besides settings is either repeated or does not need to be.
    @Test func everyFactIsKnown() throws {
        var text = PictureText(
            prompt: "a",
            negativePrompt: "b",
            plan: try plan(
                RenderSettings(size: Extent(height: 64, width: 64), steps: 6, scheduler: .ddim)
            ),
            model: "sd15-tiny",
            loras: [LoRASource(path: "\(fixtures)/adapters/sd15-loha.safetensors", weight: 0.5)],
            promptChunks: 2,
            secondPrompts: ("c", "d"),
            embeddings: ["mine:0123456789abcdef"],
            parts: [("vae", "sd15-tiny"), ("base", "sd21-tiny"), ("refiner", "nowhere:0.8")],
            digest: "00",
            prediction: .epsilon,
            version: RenderSession.version
        )
        text.unstored = [("tokenizer", "words"), ("inputs", "noise")]
        text.quality = 40
        let found = try recipe([("tessera", text.json)]) {
            $0.modelFolder = fixtures
            $0.loraFolder = "\(fixtures)/adapters"
            $0.given = ["refiner", "embedding", "tokenizer", "inputs"]
        }
        #expect(!found.warnings.contains { $0.contains("does not know") }, "\(found.warnings)")
        for word in [
            "--vae=\(fixtures)/sd15-tiny", "--base=\(fixtures)/sd21-tiny", "--prompt-2=c",
            "--negative-prompt-2=d", "--prediction=epsilon", "--model=\(fixtures)/sd15-tiny",
            "--lora=\(fixtures)/adapters/sd15-loha.safetensors:0.5",
        ] { #expect(found.arguments.contains(word), "\(word) of \(found.arguments)") }
        #expect(found.arguments.contains { $0.hasPrefix("--quality") } == false)
        // Each missing file is an error that says how to provide it.
        let all: Set<String> = ["refiner", "embedding", "tokenizer", "inputs"]
        let missing: [(String, String, String)] = [
            ("refiner", "'nowhere'", "--refiner"), ("embedding", "'mine'", "--embedding FILE:mine"),
            ("tokenizer", "'words'", "--tokenizer"), ("inputs", "'noise'", "--inputs"),
        ]
        for (flag, name, fix) in missing {
            #expect {
                _ = try recipe([("tessera", text.json)]) {
                    $0.modelFolder = fixtures
                    $0.loraFolder = "\(fixtures)/adapters"
                    $0.given = all.subtracting([flag])
                }
            } throws: { "\($0)".contains(name) && "\($0)".contains(fix) }
        }
    }

    /// A picture of Tessera is repeated with its own files or not at all; those of other programs with what there is.
    @Test func filesOfOurOwnPicturesMustBeThere() throws {
        func own(_ more: String) -> String {
            "{\"version\": \"\(RenderSession.version)\", \"prompt\": \"a\", \(more)}"
        }
        let wrong = String(repeating: "0", count: 64)
        for (more, part, fix) in [
            ("\"model\": \"nowhere\"", "the model 'nowhere', which is not found", "--model-dir"),
            (
                "\"model\": \"sd15-tiny\", \"model-digest\": \"\(wrong)\"", "has other weights",
                "--model"
            ),
            ("\"lora\": [\"none:0.5\"]", "the LoRA 'none', which is not found", "--lora-dir"),
            ("\"vae\": \"none\"", "the vae 'none', which is not found", "--vae"),
            (
                "\"prompt-syntax\": \"a1111\", \"lora\": [\"none:1.0\"], \"prompt\": \"a <lora:none:1>\"",
                "the LoRA 'none'", "--lora-dir"
            ),
        ] {
            let text = own(more).replacing(
                "\"prompt\": \"a\", \"prompt-syntax\"",
                with: "\"prompt-syntax\""
            )
            #expect {
                _ = try recipe([("tessera", text)]) { $0.modelFolder = fixtures }
            } throws: { "\($0)".contains(part) && "\($0)".contains(fix) }
        }
        // A model that a flag names is used, with a warning.
        let other = try recipe([
            ("tessera", own("\"model\": \"nowhere\", \"model-digest\": \"\(wrong)\""))
        ]) {
            ($0.given, $0.model) = (["model"], "\(fixtures)/sd15-tiny")
        }
        #expect(other.warnings.contains { $0.contains("other weights") }, "\(other.warnings)")
        let line =
            "a\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Model: nowhere, Version: "
        #expect(try recipe([("parameters", line + "v1.9")]).warnings.count == 1)
        #expect(throws: InputError.self) {
            try recipe([("parameters", line + "Tessera 0.1.0")])
        }
    }

    /// The line of settings alone, as on sites that keep nothing else: it has the method and the method's settings.
    @Test func theLineOfSettingsIsRead() throws {
        var settings = RenderSettings(
            size: Extent(height: 128, width: 128),
            steps: 6,
            scheduler: .ddim
        )
        settings.method = .refine
        settings.decodeMargin = 1
        settings.promptSyntax = .a1111
        settings.wire = .f16
        settings.schedule.spacing = .trailing
        let text = PictureText(
            prompt: "a (b:1.1)",
            negativePrompt: nil,
            plan: try plan(settings),
            model: "sd15-tiny",
            secondPrompts: ("c, d", nil),
            parts: [("vae", "sd15-tiny")],
            digest: "00",
            version: RenderSession.version
        )
        let found = try recipe([("parameters", text.parameters)]) { $0.modelFolder = fixtures }
        for word in [
            "--method=refine", "--decode-margin=1", "--prompt-syntax=a1111", "--wire=f16",
            "--timestep-spacing=trailing", "--refine-steps=3", "--prompt-2=c, d",
            "--vae=\(fixtures)/sd15-tiny", "--prompt=a (b:1.1)", "--model=\(fixtures)/sd15-tiny",
        ] { #expect(found.arguments.contains(word), "\(word) of \(found.arguments)") }
        #expect(found.warnings.count == 1, "\(found.warnings)")
        // As earlier versions wrote it.
        let older = text.parameters.replacing(", Method: refine", with: "")
        let again = try recipe([("parameters", older)]) { $0.modelFolder = fixtures }
        #expect(again.arguments.contains("--method=refine"))
    }

    @Test func whatCannotBeReadIsSaid() throws {
        #expect(throws: InputError.self) { try recipe([]) }
        #expect(throws: InputError.self) { try recipe([("Comment", "x")]) }
        #expect(throws: InputError.self) {
            try recipe([("prompt", "{\"1\": {\"class_type\": \"X\"}}")])
        }
        let other = try recipe([
            ("tessera", "{\"version\": \"9.9\", \"flavour\": 1, \"prompt\": \"a\"}")
        ])
        #expect(other.warnings.contains { $0.contains("'flavour'") })
        #expect(other.warnings.contains { $0.contains("Tessera 9.9") })
        #expect {
            _ = try recipe([("tessera", "{\"steps\": \"x\"}")])
        } throws: { "\($0)".contains("steps") }
        #expect {
            _ = try recipe([("tessera", "{\"init-image\": \"photo.png\"}")])
        } throws: { "\($0)".contains("photo.png") && "\($0)".contains("--init-image") }
    }
}

import Coordinator
import Engine
import Testing

/// Workflow graphs from ComfyUI.
extension RepeatTests {
    /// ComfyUI's default workflow, with an adapter, a CLIP layer setting and a second sampler.
    static let graph = """
        {"3": {"class_type": "KSampler", "inputs": {"seed": 156680208700286, "steps": 20, "cfg": 8.0,
          "sampler_name": "dpmpp_2m_sde_gpu", "scheduler": "karras", "denoise": 1.0, "model": ["10", 0],
          "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub\\\\sd15-tiny.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["12", 0], "clip": ["11", 0]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, [watermark]", "clip": ["11", 0]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["14", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
        "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "x/sd15-loha.safetensors",
          "strength_model": 0.8, "strength_clip": 0.5, "model": ["4", 0], "clip": ["4", 1]}},
        "11": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["10", 1]}},
        "12": {"class_type": "PrimitiveNode", "inputs": {"value": "a (glass:1.3) bottle"}},
        "13": {"class_type": "LatentUpscale", "inputs": {"samples": ["3", 0]}},
        "14": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 14, "cfg": 8, "sampler_name": "euler",
          "scheduler": "normal", "denoise": 0.5, "model": ["10", 0], "positive": ["6", 0],
          "negative": ["7", 0], "latent_image": ["13", 0]}}}
        """

    @Test func graphOfComfyUI() throws {
        let found = try recipe([("prompt", Self.graph)]) {
            $0.modelFolder = fixtures
            $0.loraFolder = "\(fixtures)/adapters"
        }
        let expected = [
            "--seed=156680208700286", "--steps=20", "--guidance=8.0", "--scheduler=dpmpp_2m_sde",
            "--karras", "--size=512x768", "--prompt=a (glass:1.3) bottle", "--rng=torch",
            "--negative-prompt=text, \\[watermark\\]", "--prompt-syntax=a1111", "--clip-skip=2",
            "--lora=\(fixtures)/adapters/sd15-loha.safetensors:0.8:te=0.5",
            "--model=\(fixtures)/sd15-tiny",
        ]
        #expect(Set(found.arguments) == Set(expected), "\(found.arguments)")
        let warned = ["KSampler 14", "LatentUpscale", "A1111"]
        for part in warned {
            #expect(found.warnings.contains { $0.contains(part) }, "\(found.warnings)")
        }
        #expect(found.warnings.count == warned.count, "\(found.warnings)")
    }

    /// A graph with nodes that are not ComfyUI's own: what cannot be read is reported, and nothing else.
    private func foreign(
        _ sampler: String = "",
        positive: String = "a lake",
        _ nodes: String
    ) throws -> PictureRecipe {
        let fields = [
            "seed": "5", "steps": "12", "cfg": "6.5", "sampler_name": "\"euler\"",
            "scheduler": "\"karras\"", "model": "[\"4\", 0]", "positive": "[\"6\", 0]",
            "negative": "[\"7\", 0]", "latent_image": "[\"5\", 0]",
        ]
        let changed = try JSON("{\(sampler)}".utf8, place: "test").object ?? [:]
        let rest = fields.filter { changed[$0.key] == nil }.map { "\"\($0.key)\": \($0.value)" }
        let inputs = (rest + (sampler.isEmpty ? [] : [sampler])).joined(separator: ", ")
        let graph = """
            {"3": {"class_type": "KSampler", "inputs": {\(inputs)}},
            "4": {"class_type": "Loader|other", "inputs": {"ckpt_name": {"content": "sd15-tiny.safetensors"}}},
            "5": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 128, "height": 192, "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": \(JSON.string(positive).text), "clip": ["4", 1]}},
            "7": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}\(nodes)}
            """
        return try recipe([("prompt", graph)]) {
            $0.modelFolder = fixtures
            $0.loraFolder = "\(fixtures)/adapters"
        }
    }

    @Test func graphOfOtherNodes() throws {
        let plain = try foreign("", "")
        for word in [
            "--model=\(fixtures)/sd15-tiny", "--size=128x192", "--negative-prompt=", "--seed=5",
            "--steps=12", "--guidance=6.5",
        ] { #expect(plain.arguments.contains(word), "\(word): \(plain.arguments)") }
        #expect(!plain.warnings.contains { $0.contains("EmptySD3") }, "\(plain.warnings)")
        #expect(plain.warnings.contains { $0.contains("ConditioningZeroOut is taken") })

        // Values from other nodes are read, and those nodes are not called unsupported.
        let values = try foreign(
            "\"seed\": [\"8\", 0], \"steps\": [\"9\", 0]",
            """
            , "8": {"class_type": "Seed of others", "inputs": {"seed": 77}},
            "9": {"class_type": "Integers", "inputs": {"value": 14}}
            """
        )
        #expect(values.arguments.contains("--seed=77") && values.arguments.contains("--steps=14"))
        #expect(
            !values.warnings.contains { $0.contains("not supported") }
        )

        // What cannot be read is reported, with the flag to use.
        for (sampler, flag) in [
            ("\"steps\": [\"8\", 0]", "--steps"), ("\"steps\": \"abc\"", "--steps"),
            ("\"cfg\": [\"8\", 0]", "--guidance"), ("\"sampler_name\": [\"8\", 0]", "--scheduler"),
            ("\"seed\": 18014398509481985", "--seed"), ("\"seed\": 9007199254740993", "--seed"),
            ("\"latent_image\": [\"99\", 0]", "--size"), ("\"model\": [\"99\", 0]", "--model"),
        ] {
            let found = try foreign(sampler, "")
            #expect(
                found.warnings.contains {
                    $0.contains("cannot be read") && $0.hasSuffix("with \(flag)")
                },
                "\(sampler): \(found.warnings)"
            )
        }

        // An adapter that the prompts do not pass through changes only the UNet.
        let lora = """
            , "8": {"class_type": "LoraLoader", "inputs": {"lora_name": "sd15-loha.safetensors",
            "strength_model": 0.7, "strength_clip": 0.7, "model": ["4", 0], "clip": ["4", 1]}}
            """
        let adapted = try foreign("\"model\": [\"8\", 0]", lora).arguments
        #expect(adapted.contains { $0.hasSuffix("sd15-loha.safetensors:0.7:te=0.0") }, "\(adapted)")
    }

    /// ComfyUI has weights in brackets, and nothing else of A1111's prompt language.
    @Test(arguments: [
        ("(red:1.2) boat BREAK x", "(red:1.2) boat break x"),
        ("(red:1.2) AND dog", "(red:1.2) and dog"), ("(red:1.2), cat:2", "(red:1.2), cat(:2:1.0)"),
        ("(red:1.2) [x] <lora:q:1>", "(red:1.2) \\[x\\] <LORA:q:1>"),
        ("boat BREAK x <lora:q:1>", "boat BREAK x <lora:q:1>"),
    ])
    func textsOfComfyUIKeepTheirMeaning(text: String, expected: String) throws {
        let found = try foreign("", positive: text, "")
        #expect(found.arguments.contains("--prompt=\(expected)"), "\(found.arguments)")
    }

    /// The editor's graph, with one node bypassed and another muted.
    @Test func workflowOfComfyUI() throws {
        let workflow = """
            {"nodes": [
            {"id": 3, "type": "KSampler", "widgets_values": [5, "randomize", 12, 6.5, "euler", "normal", 1],
             "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 4},
              {"name": "negative", "link": 6}, {"name": "latent_image", "link": 2}]},
            {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["nowhere.ckpt"]},
            {"id": 5, "type": "EmptyLatentImage", "widgets_values": [640, 512, 4]},
            {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a lake"]},
            {"id": 7, "type": "CLIPTextEncode", "widgets_values": [""]},
            {"id": 8, "type": "LoraLoader", "mode": 4, "widgets_values": ["a.safetensors", 1, 1],
             "inputs": [{"name": "model", "link": 3}]},
            {"id": 9, "type": "ControlNetApply", "mode": 2, "widgets_values": []}],
            "links": [[1, 8, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 0, 8, 0, "MODEL"],
             [4, 6, 0, 3, 1, "CONDITIONING"], [6, 7, 0, 3, 2, "CONDITIONING"]]}
            """
        let found = try recipe([("workflow", workflow)])
        let expected = [
            "--seed=5", "--steps=12", "--guidance=6.5", "--scheduler=euler", "--rng=torch",
            "--timestep-spacing=linspace", "--size=640x512", "--prompt=a lake",
            "--negative-prompt=",
        ]
        #expect(Set(found.arguments) == Set(expected), "\(found.arguments)")
        #expect(found.warnings.count == 2, "\(found.warnings)")
        #expect(found.warnings.contains { $0.contains("batch of 4") })
        #expect(found.warnings.contains { $0.contains("'nowhere.ckpt'") })
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// LoRA files against what Diffusers computes with them (`Training/reference/make_lora_fixtures.py`).
@Suite struct LoRATests {
    struct Case: Decodable, Sendable, CustomStringConvertible {
        struct File: Decodable, Sendable {
            let file: String
            let weight: Float
            /// Per-part weights, as in `--lora`.
            let parts: String?
        }
        let name: String
        let kind: String
        /// The folder with its files and expected results.
        var folder: String {
            loras.allSatisfy { $0.parts == nil } ? LoRATests.folder : AdapterTests.folder
        }
        let loras: [File]
        var description: String { name }
        var sources: [LoRASource] {
            get throws {
                try loras.map {
                    try LoRASource(argument: "\(folder)/\($0.file):\($0.weight)\($0.parts ?? "")")
                }
            }
        }
        var checkpoint: String { "\(SingleFileLayout.ownFixtures)/\(kind)-tiny" }
        func model() throws -> Model {
            try Model(path: checkpoint, options: ModelOptions(loras: try sources))
        }
    }

    static let folder = "\(SingleFileLayout.ownFixtures)/lora"
    static let cases: [Case] = {
        let data = FileManager.default.contents(atPath: "\(folder)/lora.json") ?? Data()
        return (try? JSONDecoder().decode([Case].self, from: data)) ?? []
    }()

    @Test func thereAreCases() { #expect(Self.cases.count >= 10) }

    @Test(arguments: cases) func networksMatchDiffusers(_ one: Case) throws {
        try Self.expectAnswers(one, change: 0.1)
    }

    /// Compares the networks' outputs with the expected ones, and expects that the adapter changes the UNet's.
    static func expectAnswers(_ one: Case, change: Float) throws {
        let expected = try SafeTensors(file: "\(one.folder)/expected.safetensors")
        let settings = try JSON(
            try Data(
                contentsOf: URL(
                    fileURLWithPath: "\(SingleFileLayout.ownFixtures)/expected/\(one.kind).json"
                )
            ),
            place: one.kind
        )
        let prompt = settings.object?["prompt"]?.string ?? ""
        let model = try one.model()
        // Files that leave the text encoders alone have no embeddings.
        if expected.info("\(one.name).prompt_embeds") != nil {
            let found = try PromptEncoder(model: model, options: EngineOptions()).encode(prompt)
            expectClose(
                found.context,
                try expected.tensor("\(one.name).prompt_embeds"),
                within: Tolerance.parity,
                "\(one) prompt"
            )
            if let pooled = found.pooled {
                expectClose(
                    pooled,
                    try expected.tensor("\(one.name).pooled"),
                    within: Tolerance.parity,
                    "\(one) pooled"
                )
            }
        }
        let prediction = try predict(model, one.kind)
        expectClose(
            prediction,
            try expected.tensor("\(one.name).unet"),
            within: Tolerance.parity,
            "\(one) unet"
        )
        let plain = try predict(try Model(path: one.checkpoint), one.kind)
        #expect(relativeError(plain, prediction) > change, "the adapter changes nothing")
    }

    /// The UNet's prediction for its first fixture, whose prompts were encoded without a LoRA.
    static func predict(
        _ model: Model,
        _ kind: String,
        _ options: EngineOptions = EngineOptions(threads: 2)
    ) throws -> Tensor {
        let inputs = try SafeTensors(
            file: "\(SingleFileLayout.ownFixtures)/expected/\(kind).safetensors"
        )
        func pair(_ name: String) throws -> Tensor {
            let (a, b) = (try inputs.tensor("negative_\(name)"), try inputs.tensor(name))
            return Tensor(a.values + b.values, shape: [2] + a.shape.dropFirst())
        }
        let unet = try UNet(model: model, options: options)
        let ids = unet.config.needsTimeIDs ? try inputs.tensor("unet.time_ids").values : nil
        return try unet.predict(
            try inputs.tensor("unet.0.input").channelsLast(),
            timestep: try inputs.tensor("unet.0.timestep").values[0],
            context: try pair("prompt_embeds"),
            pooled: ids == nil ? nil : try pair("pooled"),
            timeIDs: ids.map { ids in
                stride(from: 0, to: ids.count, by: 6).map { Array(ids[$0..<$0 + 6]) }
            }
        ).channelsFirst()
    }

    /// LoRAs merged into a single-file model give the same results as in a folder.
    @Test(arguments: SingleFileLayout.kinds) func singleFilesTakeThem(_ kind: String) throws {
        let sources = try Self.cases.filter { $0.kind == kind }.flatMap { try $0.sources }
        let layout = try SingleFileLayout(kind, size: "fixture")
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try layout.write(to: path)
            let one = try Model(
                path: path,
                options: ModelOptions(config: layout.folder, loras: sources)
            )
            let other = try Model(path: layout.folder, options: ModelOptions(loras: sources))
            #expect(try Self.predict(one, kind).values == Self.predict(other, kind).values)
        }
    }

    /// The LoRAs, their weights and their order are part of a model's identity.
    @Test func digestsTellThemApart() throws {
        let files = try Self.cases.filter { $0.loras.count > 1 }.first?.sources ?? []
        try #require(files.count == 2)
        let path = try Self.cases.first { try $0.sources.contains(files[0]) }?.checkpoint ?? ""
        func digest(_ sources: [LoRASource]) throws -> String {
            try Model(path: path, options: ModelOptions(loras: sources)).digest()
        }
        let half = LoRASource(path: files[0].path, weight: files[0].weight / 2)
        let all = try [
            [], [files[0]], [files[1]], files, files.reversed(), [half], [files[0], files[0]],
            [LoRASource(path: files[0].path, weight: files[0].weight, parts: [.init("unet", 0.1)])],
        ].map(digest)
        #expect(Set(all).count == all.count)
        #expect(try digest(files) == digest(files))
        #expect(all.allSatisfy { $0.count == 64 })
    }

    private static let down = "lora_unet_conv_in.lora_down.weight"
    private static let up = "lora_unet_conv_in.lora_up.weight"

    /// The tensors of a LoRA for sd15-tiny, and what the error must name.
    static let refused: [([String: [Int]], String)] = [
        ([down: [2, 4, 3, 3]], "lora_unet_conv_in"), ([up: [32, 2, 1, 1]], "lora_unet_conv_in"),
        ([down: [2, 5, 3, 3], up: [32, 2, 1, 1]], "[2, 5, 3, 3]"),
        ([down: [2, 4, 3, 3], up: [32, 3, 1, 1]], "[32, 3, 1, 1]"),
        ([down: [2, 4, 3, 3], up: [32, 2, 3, 3]], "[32, 2, 3, 3]"),
        ([down: [2, 4], up: [32, 2]], "[2, 4]"),
        ([down: [0, 4, 3, 3], up: [32, 0]], "[0, 4, 3, 3]"),
        ([down: [], up: []], "[]"),
        ([down: [2, 4, 3, 3], up: [32, 2, 1, 1], "lora_unet_conv_in.alpha": [2]], "alpha"),
        ([down: [2, 4, 3, 3], up: [32, 2, 1, 1], "lora_unet_conv_in.dora_scale": [31]], "[31]"),
        (
            [down: [2, 4, 3, 3], up: [32, 2, 1, 1], "lora_unet_conv_in.dora_scale": [1, 5]],
            "[1, 5]"
        ),
        ([down: [2, 4, 3, 3], up: [32, 2, 1, 1], "lora_unet_conv_in.rescale": [32]], "rescale"),
        (
            ["unet.conv_in.lora_magnitude_vector": [32]],
            "lora_magnitude_vector' belongs to is missing"
        ),
        (["lora_unet_conv_in.alpha": []], "alpha' belongs to is missing"),
        (["lora_unet_conv_in.weight": [32]], "whole weight"),
        (["lora_unet_conv_in.hada_w1_a": [32, 4]], "LoHa is missing: .hada_w1_b"),
        (["lora_unet_conv_in.lokr_w1": [2, 4]], "LoKr is missing: .lokr_w2"),
        (
            ["lora_unet_conv_in.lokr_w1": [2, 2], "lora_unet_conv_in.lokr_w2": [16, 3, 3, 3]],
            "[16, 3, 3, 3]"
        ),
        (["lora_unet_conv_in.oft_diag": [2, 4]], "OFT of LyCORIS before"),
        (["lora_unet_conv_in.oft_blocks": [4, 7, 7]], "[4, 7, 7]"),
        (["lora_unet_conv_in.oft_blocks": [9, 4, 8, 8]], "[9, 4, 8, 8]"),
        (["unet.conv_in.oft_R.weight": [1, 3]], "adapter_config.json"),
        (["unet.conv_in.boft_R": [1, 3]], "BOFT as PEFT"),
        (["lora_unet_conv_in.lora_mid.weight": [2, 2]], "lora_mid"),
        (
            [
                down: [2, 4, 1, 1], up: [32, 2], "lora_unet_conv_in.lora_mid.weight": [2, 2, 1, 3],
            ], "[2, 2, 1, 3]"
        ),
        (["lora_unet_conv_in.diff": [32]], "[32]"),
        (["lora_unet_conv_in.diff_b": [33]], "[33]"),
        (
            ["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.diff_b": [64]],
            "a bias that"
        ),
        (["lora_unet_conv_in.w_norm": [33], "lora_unet_conv_in.b_norm": [32]], "[33]"),
        (["lora_unet_conv_in.weight": [5], "lora_unet_conv_in.on_input": []], "[5]"),
        (
            [
                down: [2, 4, 3, 3], up: [32, 2, 1, 1],
                "lora_unet_conv_in.lora_A.weight": [2, 4, 3, 3],
            ],
            "twice"
        ),
        (["something.else": [2]], "something.else"), ([:], "no tensors"),
        (
            [
                "lora_unet_nowhere.lora_down.weight": [2, 4],
                "lora_unet_nowhere.lora_up.weight": [4, 2],
            ],
            "lora_unet_nowhere"
        ),
        (
            [
                "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": [2, 4],
                "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": [4, 2],
            ], "text_encoder_2"
        ),
        (
            [
                down: [2, 4, 3, 3], up: [32, 2, 1, 1], "unet.conv_in.lora_A.weight": [2, 4, 3, 3],
                "unet.conv_in.lora_B.weight": [32, 2, 1, 1],
            ], "twice"
        ),
    ]

    @Test(arguments: refused) func refusals(_ shapes: [String: [Int]], _ part: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            try RawTensor.writeHollow(shapes, to: file)
            let error = #expect(throws: InputError.self) {
                _ = try Model(
                    path: "\(SingleFileLayout.ownFixtures)/sd15-tiny",
                    options: ModelOptions(loras: [LoRASource(path: file)])
                )
            }
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        }
    }

    /// A key in each dialect, for models that are not supported, and what the error must call them.
    @Test(arguments: [
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "Flux"),
        ("double_blocks.0.processor.qkv_lora1.down.weight", "Flux (XLabs)"),
        ("transformer_blocks.0.attn.to_q.lora_A.weight", "transformer model (Qwen-Image"),
        ("transformer.transformer_blocks.0.attn.to_q.lora_A.weight", "transformer model"),
        ("lora_unet_joint_blocks_0_context_block_attn_qkv.lora_down.weight", "Diffusion 3"),
        ("lora_prior_unet_down_blocks_0_1_channelwise_0.lora_down.weight", "Stable Cascade"),
        ("lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight", "transformer model"),
        ("diffusion_model.blocks.0.self_attn.q.lora_A.weight", "video model"),
        ("lycoris_blocks_0_attn_wq.lora_down.weight", "video model"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight", "T5"),
        ("down_blocks.0.motion_modules.0.proj_in.lora_A.weight", "AnimateDiff"),
        ("lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight", "LLLite"),
        (
            "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.lora_down.weight",
            "T5"
        ),
    ])
    func otherDialectsAreNamed(key: String, name: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let other = key.replacing("lora_down", with: "lora_up")
                .replacing("lora_A", with: "lora_B").replacing(".down.", with: ".up.")
            let shapes = [(key, [2, 4]), (other, [4, 2])]
            try RawTensor.writeHollow(Dictionary(shapes) { first, _ in first }, to: file)
            let error = #expect(throws: InputError.self) {
                _ = try Model(
                    path: "\(SingleFileLayout.ownFixtures)/sdxl-tiny",
                    options: ModelOptions(loras: [LoRASource(path: file)])
                )
            }
            let message = error?.description ?? ""
            #expect(message.contains(name), "\(message)")
            #expect(message.contains("unsupported kind of file"), "\(message)")
            #expect(message.contains(file), "\(message)")
        }
    }

    /// A LoRA for another family is refused with an error that names the family.
    @Test func otherFamiliesAreNamed() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
            try RawTensor.writeHollow(
                ["\(stem).lora_down.weight": [2, 768], "\(stem).lora_up.weight": [64, 2]],
                to: file
            )
            let error = #expect(throws: InputError.self) {
                _ = try Model(
                    path: "\(SingleFileLayout.ownFixtures)/sdxl-tiny",
                    options: ModelOptions(loras: [LoRASource(path: file)])
                )
            }
            let message = error?.description ?? ""
            #expect(message.contains("made for Stable Diffusion 1"), "\(message)")
            #expect(message.contains("this model is Stable Diffusion XL"), "\(message)")
        }
    }

    /// NaN in a LoRA is found when the model is opened.
    @Test(arguments: ["lora_down", "lora_up"]) func nanIsReported(_ half: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            var tensors = try RawTensor.read(
                "\(SingleFileLayout.ownFixtures)/lora/sd15-kohya.safetensors"
            )
            let key = try #require(tensors.keys.sorted().last { $0.contains(half) })
            let isHalf = tensors[key]?.type == .float16
            let nan: [UInt8] = isHalf ? [0, 0x7E] : [0, 0, 0xC0, 0x7F]
            tensors[key]?.bytes.replaceSubrange(0..<nan.count, with: nan)
            try RawTensor.write(tensors, to: file)
            let error = #expect(throws: InputError.self) {
                _ = try Model(
                    path: "\(SingleFileLayout.ownFixtures)/sd15-tiny",
                    options: ModelOptions(loras: [LoRASource(path: file)])
                )
            }
            #expect(error?.place == "\(file): \(key)" && error?.problem.contains("NaN") == true)
            let report = try ModelReport(path: file, options: ModelOptions(), readsWeights: true)
            #expect(report.refusal != nil && report.faults.first?.contains(key) == true)
        }
    }

    /// One layer, by every name that it can have: each file adds a matrix of ones times alpha.
    @Test(arguments: [
        ("lora_unet_mid_block_attentions_0_proj_in", ".lora_down.weight", ".lora_up.weight"),
        ("lora_unet_middle_block_1_proj_in", ".lora_down.weight", ".lora_up.weight"),
        ("unet.mid_block.attentions.0.proj_in", ".lora_A.weight", ".lora_B.weight"),
        ("unet.mid_block.attentions.0.proj_in", ".lora_A.default.weight", ".lora_B.default.weight"),
        ("unet.mid_block.attentions.0.proj_in", ".lora.down.weight", ".lora.up.weight"),
        ("mid_block.attentions.0.proj_in", ".lora.down.weight", ".lora.up.weight"),
        ("diffusion_model.middle_block.1.proj_in", ".lora_A.weight", ".lora_B.weight"),
        ("model.diffusion_model.middle_block.1.proj_in", ".lora_down.weight", ".lora_up.weight"),
        ("lycoris_mid_block_attentions_0_proj_in", ".lora_down.weight", ".lora_up.weight"),
        (
            "unet.base_model.model.mid_block.attentions.0.proj_in", ".lora_A.weight",
            ".lora_B.weight"
        ),
        (
            "unet.mid_block.attentions.0.proj_in", ".lora_linear_layer.down.weight",
            ".lora_linear_layer.up.weight"
        ),
    ])
    func everySpelling(stem: String, down: String, up: String) throws {
        let checkpoint = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
        let name = "mid_block.attentions.0.proj_in.weight"
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            var alpha = RawTensor(ones: [])
            alpha.bytes = withUnsafeBytes(of: Float(3)) { Array($0) }
            try RawTensor.write(
                [
                    stem + down: RawTensor(ones: [2, 64, 1, 1]),
                    stem + up: RawTensor(ones: [64, 2]),
                    stem + ".alpha": alpha,
                ],
                to: file
            )
            let plain = try Model(path: checkpoint).weights(.unet).tensor(name, [64, 64, 1, 1])
            let source = LoRASource(path: file, weight: 0.5)
            let model = try Model(path: checkpoint, options: ModelOptions(loras: [source]))
            let changed = try model.weights(.unet).tensor(name, [64, 64, 1, 1])
            // weight · alpha / rank · (1 + 1)
            #expect(changed.values == plain.values.map { $0 + 1.5 })
        }
    }

    @Test func argumentsAreRead() throws {
        #expect(try LoRASource(argument: "a.safetensors") == LoRASource(path: "a.safetensors"))
        #expect(try LoRASource(argument: "a:b:0.25") == LoRASource(path: "a:b", weight: 0.25))
        #expect(try LoRASource(argument: "a:-1") == LoRASource(path: "a", weight: -1))
        for text in ["a:0.8:te=0.5", "a:0.8:te1=0.5:te2=0.0:down.1=-2.0:mid=1.0"] {
            #expect(try LoRASource(argument: text).argument == text)
        }
        #expect(try LoRASource(argument: "a:te=0.5").argument == "a:1.0:te=0.5")
        #expect(try LoRASource(argument: "a:2:te=1,unet=3").argument == "a:2.0:te=1.0:unet=3.0")
        for wrong in [
            "a:b", "a:", "a:nan", "a:inf", "a:1e9", "a:te=", "a:te=x", "a:left=1", "a:down.x=1",
            "a:te=1:te=2",
            "a:te=1:0.5:b",
        ] {
            #expect(throws: InputError.self) { _ = try LoRASource(argument: wrong) }
        }
        try inTemporaryFolder { folder in
            let path = "\(folder)/a:2"
            try Data().write(to: URL(fileURLWithPath: path))
            #expect(try LoRASource(argument: path) == LoRASource(path: path))
            #expect(try LoRASource(argument: path + ":3") == LoRASource(path: path, weight: 3))
        }
    }

    /// Damaged headers, with keys and PEFT's metadata.
    @Test(arguments: ["sd15-kohya", "sd15-peft"]) func damagedFiles(_ name: String) throws {
        let path = "\(Self.folder)/\(name).safetensors"
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        let length = whole[..<8].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            var (mutator, refused, read) = (Mutator(seed: 23), 0, 0)
            for round in 0..<300 {
                var header = Array(whole[8..<(8 + length)])
                if round % 2 == 0 {
                    header = mutator.mutate(header)
                } else {
                    // Changed in place, so that the header sometimes remains valid JSON.
                    header[mutator.below(length)] = Array("0123456789.ab_".utf8)[mutator.below(14)]
                }
                let size = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
                try Data(size + header + whole[(8 + length)...])
                    .write(to: URL(fileURLWithPath: file))
                do {
                    let options = ModelOptions(loras: [LoRASource(path: file)])
                    let model = try Model(
                        path: "\(SingleFileLayout.ownFixtures)/sd15-tiny",
                        options: options
                    )
                    let weights = try model.weights(.unet)
                    _ = try weights.tensor("mid_block.attentions.0.proj_in.weight", [64, 64, 1, 1])
                    read += 1
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 100 && read > 0, "\(refused) refused, \(read) read")
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Single-file models in the original layout.
@Suite struct SingleFileTests {
    /// Every weight equals the folder's, bit for bit, with the same name and shape; so do the networks' results.
    @Test(arguments: SingleFileLayout.kinds) func holdsWhatTheFolderHolds(_ kind: String) throws {
        let layout = try SingleFileLayout(kind, size: "fixture")
        try inTemporaryFolder { folder in
            let path = "\(folder)/any name.safetensors"
            try layout.write(to: path)
            let one = try Model(path: path, options: ModelOptions(config: layout.folder))
            let other = try Model(path: layout.folder)
            #expect(one.family == other.family)
            #expect(one.forceZerosForEmptyPrompt == other.forceZerosForEmptyPrompt)
            for component in one.family.components {
                let (found, expected) = (try one.table(component), try other.table(component))
                let names = found.names.filter { !$0.hasSuffix("position_ids") }
                #expect(strip(names) == strip(expected.names), "\(kind) \(component)")
                for name in names {
                    let own = expected.shape(name) == nil ? String(name.dropFirst(11)) : name
                    let (a, b) = (try found.tensor(name), try expected.tensor(own))
                    #expect(a.shape == b.shape && a.values == b.values, "\(kind) \(name)")
                }
            }
            try expectSameResults(one, other)
            #expect(try one.digest() != other.digest())
        }
    }

    /// Text models are saved with and without this prefix.
    private func strip(_ names: [String]) -> [String] {
        names.map { $0.hasPrefix("text_model.") ? String($0.dropFirst(11)) : $0 }.sorted()
    }

    private func expectSameResults(_ one: Model, _ other: Model) throws {
        let prompt = "a lighthouse at dawn, oil painting"
        let options = EngineOptions()
        let (a, b) = (
            try PromptEncoder(model: one, options: options).encode(prompt),
            try PromptEncoder(model: other, options: options).encode(prompt)
        )
        #expect(a == b)
        let latent = Tensor((0..<256).map { sin(Float($0)) }, shape: [1, 8, 8, 4])
        func predict(_ model: Model) throws -> [Float] {
            let unet = try UNet(model: model, options: options)
            return try unet.predict(
                latent,
                timestep: 501,
                context: a.context,
                pooled: a.pooled,
                timeIDs: unet.config.needsTimeIDs ? [[64, 64, 0, 8, 64, 64]] : nil
            ).values
        }
        #expect(try predict(one) == predict(other))
        func through(_ model: Model) throws -> [Float] {
            let vae = try VAE(model: model, options: options, halves: [.decoder, .encoder])
            let picture = try vae.decode(latent)
            return picture.values + (try vae.encode(picture).mean.values)
        }
        #expect(try through(one) == through(other))
    }

    /// The published sizes, from shapes alone: the inferred configurations equal those of the published folders.
    @Test func publishedModelsAreRecognised() throws {
        let published: [(kind: String, unet: String, vae: String, texts: [String])] = [
            (
                "sd15", PublishedConfig.sd15UNet, PublishedConfig.sd15VAE,
                [PublishedConfig.sd15Text]
            ),
            (
                "sd21", PublishedConfig.sd21UNet, PublishedConfig.sd15VAE,
                [PublishedConfig.sd21Text]
            ),
            (
                "sdxl", PublishedConfig.sdxlUNet, PublishedConfig.sdxlVAE,
                [PublishedConfig.sd15Text, PublishedConfig.sdxlText2]
            ),
        ]
        for (kind, unet, vae, texts) in published {
            let layout = try SingleFileLayout(kind, size: "published")
            try inTemporaryFolder { folder in
                let path = "\(folder)/a.safetensors"
                try RawTensor.writeHollow(layout.entries.mapValues(\.shape), to: path)
                let model = try Model(path: path)
                #expect(try model.unetConfig() == UNetConfig(file: text(unet, in: folder)))
                #expect(try model.vaeConfig() == VAEConfig(file: text(vae, in: folder)))
                for (i, config) in texts.enumerated() {
                    let own = try model.textConfig(i == 0 ? .textEncoder : .textEncoder2)
                    let file = try text(config, in: folder)
                    #expect(try own == CLIPConfig(file: file, projected: i == 1))
                }
                let wanted: PredictionType = kind == "sd21" ? .vPrediction : .epsilon
                #expect(try model.schedulerConfig().prediction == wanted)
                for component in model.family.components {
                    let own = layout.entries.values.filter { $0.component == component.rawValue }
                    let names = try model.table(component).names
                        .filter { !$0.hasSuffix("position_ids") }
                    #expect(strip(names) == strip(own.flatMap(\.sources)), "\(kind) \(component)")
                }
            }
        }
    }

    private func text(_ text: String, in folder: String) throws -> String {
        let file = "\(folder)/config.json"
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// Stable Diffusion 2 as Diffusers writes it: without the layer that is never computed.
    @Test func openCLIPWithoutItsLastLayer() throws {
        let layout = try SingleFileLayout("sd21", size: "published")
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            let shapes = layout.entries.mapValues(\.shape).filter {
                !$0.key.contains("resblocks.23.") && !$0.key.hasSuffix("text_projection")
            }
            try RawTensor.writeHollow(shapes, to: path)
            let own = try Model(path: path).textConfig(.textEncoder)
            let file = try text(PublishedConfig.sd21Text, in: folder)
            #expect(try own == CLIPConfig(file: file, projected: false))
        }
    }

    /// What is inferred for a file of published size when one thing about it is changed.
    @Test func marksOfThePrediction() throws {
        func prediction(
            _ kind: String,
            extra: String? = nil,
            options: ModelOptions = ModelOptions()
        ) throws -> String {
            var shapes = try SingleFileLayout(kind, size: "published").entries.mapValues(\.shape)
            if let extra { shapes[extra] = [] }
            return try inTemporaryFolder { folder in
                try RawTensor.writeHollow(shapes, to: "\(folder)/a.safetensors")
                let model = try Model(path: "\(folder)/a.safetensors", options: options)
                let scheduler = try model.schedulerConfig()
                let side = try model.unetConfig().sampleSize
                let end = scheduler.startsAtPureNoise ? " from pure noise" : ""
                return "\(scheduler.prediction.rawValue) \(side)\(end)"
            }
        }
        let noise = ModelOptions(prediction: .epsilon)
        #expect(try prediction("sd21") == "v_prediction 96")
        #expect(try prediction("sd21", options: noise) == "epsilon 64")
        #expect(try prediction("sdxl") == "epsilon 128")
        #expect(try prediction("sdxl", extra: "v_pred") == "v_prediction 128")
        #expect(try prediction("sdxl", extra: "ztsnr") == "epsilon 128 from pure noise")
        #expect(try prediction("sdxl", extra: "v_pred", options: noise) == "epsilon 128")
    }

    /// Names and shapes of a file, and what the error must say.
    static let others: [([String: [Int]], String)] = [
        (["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": [2, 4]], "LoRA"),
        (["unet.conv_in.lora.down.weight": [2, 4]], "LoRA"),
        (["lora_unet_conv_in.hada_w1_a": [2, 4]], "LoRA"),
        (["model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": [4, 4]], "Diffusion 3"),
        (["double_blocks.0.img_attn.qkv.weight": [4, 4]], "Flux"),
        (["control_model.input_blocks.0.0.weight": [4, 4, 3, 3]], "ControlNet"),
        (["conditioner.embedders.0.model.ln_final.weight": [4]], "not a text encoder"),
        (["edm_vpred.sigma_max": [1], "model.diffusion_model.out.2.bias": [4]], "CosXL"),
        (["input_blocks.0.0.weight": [4, 4, 3, 3], "zero_convs.0.0.weight": [4]], "ControlNet"),
        (["encoder.layers.0.weight": [4], "decoder.layers.0.conv.0.weight": [4]], "TAESD"),
        (["down_blocks.0.resnets.0.conv1.weight": [4, 4, 3, 3]], "Diffusers layout"),
        (["decoder.up.0.block.0.conv1.weight": [4, 4, 3, 3]], "autoencoder alone"),
        (["text_model.final_layer_norm.weight": [4]], "text encoder alone"),
        (["something.weight": [4]], "something.weight"), ([:], "empty"),
        (["model.diffusion_model.out.2.bias": [4]], "input_blocks.0.0.weight"),
    ]

    @Test(arguments: others) func filesThatAreNotModelsAreNamed(
        _ shapes: [String: [Int]],
        _ part: String
    )
        throws
    {
        try inTemporaryFolder { folder in
            try RawTensor.writeHollow(shapes, to: "\(folder)/a.safetensors")
            let error = #expect(throws: InputError.self) {
                _ = try Model(path: "\(folder)/a.safetensors")
            }
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        }
    }

    /// A change to the shapes of a published model, and what the error must say.
    @Test(arguments: [
        ("sd15", "model.diffusion_model.input_blocks.0.0.weight", [320, 7, 3, 3], "enlarges"),
        ("sd15", "model.diffusion_model.input_blocks.0.0.weight", [320, 5, 3, 3], "depth"),
        (
            "sd15", "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
            [77, 512], "768"
        ),
        (
            "sd15", "model.diffusion_model.input_blocks.2.0.out_layers.3.weight", [640, 320, 3, 3],
            "input_blocks.2"
        ),
        ("sd21", "model.diffusion_model.label_emb.0.0.weight", [1280, 2048], "unCLIP"),
    ])
    func refusesUnusualModels(kind: String, name: String, shape: [Int], part: String) throws {
        var shapes = try SingleFileLayout(kind, size: "published").entries.mapValues(\.shape)
        shapes[name] = shape
        try expectRefusal(shapes, part)
    }

    /// What is left out, and what the error must name.
    @Test(arguments: [
        ("sd15", "first_stage_model.", "first_stage_model."),
        ("sd15", "cond_stage_model.", "cond_stage_model.transformer."),
        ("sd21", "cond_stage_model.", "cond_stage_model.model."),
        ("sdxl", "conditioner.embedders.1.", "conditioner.embedders.1.model."),
        ("sdxl", "conditioner.embedders.0.", "conditioner.embedders.0.transformer."),
        ("sdxl", "model.diffusion_model.", "model.diffusion_model."),
        // A distilled model without attention in the middle block.
        ("sdxl", "model.diffusion_model.middle_block.1.", "middle_block"),
        ("sdxl", "model.diffusion_model.output_blocks.1.1.", "output_blocks.1"),
    ])
    func namesWhatIsMissing(kind: String, prefix: String, part: String) throws {
        let shapes = try SingleFileLayout(kind, size: "published").entries.mapValues(\.shape)
        try expectRefusal(shapes.filter { !$0.key.hasPrefix(prefix) }, part)
    }

    private func expectRefusal(_ shapes: [String: [Int]], _ part: String) throws {
        try inTemporaryFolder { folder in
            try RawTensor.writeHollow(shapes, to: "\(folder)/a.safetensors")
            let error = #expect(throws: InputError.self) {
                _ = try Model(path: "\(folder)/a.safetensors")
            }
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        }
    }

    /// Weights that the network does not use are refused when the network is loaded.
    @Test func unknownWeightsAreNamed() throws {
        let layout = try SingleFileLayout("sd15", size: "fixture")
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            var tensors = try layout.tensors()
            let stray = "model.diffusion_model.input_blocks.1.1.adapter.weight"
            tensors[stray] = RawTensor(zeros: [2])
            try RawTensor.write(tensors, to: path)
            let model = try Model(path: path, options: ModelOptions(config: layout.folder))
            let error = #expect(throws: InputError.self) {
                _ = try UNet(model: model, options: EngineOptions())
            }
            #expect(error?.description.contains("adapter.weight") == true)
        }
    }

    /// Neither the number of heads nor the tokenizer can be inferred for small models.
    @Test func reportsWhatCannotBeInferred() throws {
        let layout = try SingleFileLayout("sd21", size: "fixture")
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try layout.write(to: path)
            let model = try Model(path: path)
            #expect(throws: InputError.self) { _ = try model.unetConfig() }
            #expect(throws: InputError.self) { _ = try model.textConfig(.textEncoder) }
            #expect(throws: InputError.self) { _ = try model.tokenizer(.textEncoder) }
            let clip = "\(SingleFileLayout.ownFixtures)/clip-vocab"
            let large = try Model(path: path, options: ModelOptions(vocabulary: clip))
            let error = #expect(throws: InputError.self) { _ = try large.tokenizer(.textEncoder) }
            #expect(error?.description.contains("--tokenizer") == true)
        }
    }

    /// Where the tokenizer comes from, and how short prompts are padded.
    @Test func tokenizersOfSingleFiles() throws {
        let layout = try SingleFileLayout("sdxl", size: "fixture")
        let own = "\(layout.folder)/tokenizer"
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try layout.write(to: path)
            let prompt = "a lake at dawn"
            let expected = try Model(path: layout.folder)
            func expect(_ options: ModelOptions) throws {
                let model = try Model(path: path, options: options)
                for component in [Component.textEncoder, .textEncoder2] {
                    #expect(
                        try model.tokenizer(component).encode(prompt)
                            == expected.tokenizer(component).encode(prompt)
                    )
                }
            }
            // A vocabulary alone: padding follows from the kind of text encoder.
            try expect(ModelOptions(tokenizer: own))
            try expect(ModelOptions(tokenizer: layout.folder))
            try expect(ModelOptions(config: layout.folder))
            try expect(ModelOptions(vocabulary: own))
            for name in ["vocab.json", "merges.txt"] {
                try FileManager.default.copyItem(
                    atPath: "\(own)/\(name)",
                    toPath: "\(folder)/\(name)"
                )
            }
            try expect(ModelOptions())
            let clip = "\(SingleFileLayout.ownFixtures)/clip-vocab"
            try expect(ModelOptions(vocabulary: clip))
            #expect(throws: InputError.self) { try expect(ModelOptions(tokenizer: folder + "/no")) }
        }
    }

    /// Damaged headers are read or refused; what is read is consistent.
    @Test func damagedHeaders() throws {
        let layout = try SingleFileLayout("sd15", size: "fixture")
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try layout.write(to: path)
            let whole = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            let length = whole[..<8].enumerated().reduce(0) {
                $0 + Int($1.element) << (8 * $1.offset)
            }
            let names = layout.entries.keys.sorted()
            var (mutator, refused, read) = (Mutator(seed: 22), 0, 0)
            for round in 0..<300 {
                // Names and digits change in place, so that the header sometimes remains valid JSON.
                var bytes = Array(whole[8..<8 + length])
                if round % 3 == 0 {
                    bytes = mutator.mutate(bytes)
                } else {
                    let name = Array("\"\(names[mutator.below(names.count)])\"".utf8)
                    let start = bytes.firstRange(of: name)?.lowerBound ?? 0
                    for _ in 0...mutator.below(3) {
                        let at = start + 1 + mutator.below(name.count + 60)
                        guard at < bytes.count else { continue }
                        bytes[at] = Array("0123456789.abc".utf8)[mutator.below(14)]
                    }
                }
                let size = (0..<8).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) }
                try Data(size + bytes + whole[(8 + length)...]).write(
                    to: URL(fileURLWithPath: path)
                )
                do {
                    let model = try Model(path: path)
                    for component in model.family.components {
                        let table = try model.table(component)
                        for name in table.names.prefix(40) { _ = try table.tensor(name) }
                    }
                    _ = try model.vaeConfig()
                    _ = try model.schedulerConfig()
                    _ = try? model.unetConfig()
                    read += 1
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 100 && read > 0, "\(refused) refused, \(read) read")
        }
    }

    @Test func pickledFilesAreRefused() throws {
        try inTemporaryFolder { folder in
            for (start, part) in [("PK\u{3}\u{4}......", "pickled"), ("GGUF........", "GGUF")] {
                let file = "\(folder)/a.safetensors"
                try Data(start.utf8).write(to: URL(fileURLWithPath: file))
                let error = #expect(throws: InputError.self) { _ = try Model(path: file) }
                #expect(error?.description.contains(part) == true)
            }
        }
    }
}

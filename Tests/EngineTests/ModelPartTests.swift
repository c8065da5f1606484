import Engine
import Foundation
import TestSupport
import Testing

/// Parts of a model from elsewhere: `--vae` and `--base`.
@Suite struct ModelPartTests {
    private static let fixtures = SingleFileLayout.ownFixtures
    private static let vaePrefix = "first_stage_model."

    private func folder(_ kind: String) -> String { "\(Self.fixtures)/\(kind)-tiny" }

    /// The tensors of a single file whose names are included.
    private func tensors(
        _ kind: String,
        _ isIncluded: (String) -> Bool
    ) throws -> [String: RawTensor] {
        try SingleFileLayout(kind, size: "fixture").tensors().filter { isIncluded($0.key) }
    }

    private func renamed(
        _ tensors: [String: RawTensor],
        dropping prefix: String
    ) -> [String: RawTensor] {
        Dictionary(
            uniqueKeysWithValues: tensors.map { (String($0.key.dropFirst(prefix.count)), $0.value) }
        )
    }

    private func decoded(_ model: Model) throws -> [Float] {
        let vae = try VAE(model: model, options: EngineOptions(), halves: [.decoder])
        let latent = Tensor((0..<256).map { sin(Float($0)) }, shape: [1, 8, 8, 4])
        return try vae.decode(latent).values
    }

    /// A VAE in every form gives the same result as the model's own; the VAE of another model does not.
    @Test(arguments: SingleFileLayout.kinds) func autoencodersInEveryForm(kind: String) throws {
        try inTemporaryFolder { folder in
            let own = self.folder(kind)
            let other = self.folder(kind == "sdxl" ? "sd15" : "sdxl")
            let wanted = try decoded(Model(path: own))
            let original = try tensors(kind) { $0.hasPrefix(Self.vaePrefix) }
            try RawTensor.write(original, to: "\(folder)/prefixed.safetensors")
            var bare = renamed(original, dropping: Self.vaePrefix)
            bare["loss.logvar"] = RawTensor(ones: [1])
            bare["model_ema.num_updates"] = RawTensor(ones: [1])
            try RawTensor.write(bare, to: "\(folder)/bare.safetensors")
            try SingleFileLayout(kind, size: "fixture").write(to: "\(folder)/whole.safetensors")
            // The file alone, without its configuration and with it.
            let weights = "\(own)/vae/diffusion_pytorch_model.safetensors"
            try FileManager.default.copyItem(atPath: weights, toPath: "\(folder)/vae.safetensors")
            let forms = [
                "\(folder)/prefixed.safetensors", "\(folder)/bare.safetensors",
                "\(folder)/whole.safetensors", "\(folder)/vae.safetensors", weights,
                "\(own)/vae", own,
            ]
            var digests: Set<String> = []
            for vae in forms {
                let model = try Model(path: own, options: ModelOptions(vae: vae))
                try model.check(ModelNeeds(encoder: true, texts: true))
                #expect(try decoded(model) == wanted, "\(vae)")
                digests.insert(try model.digest())
            }
            // The same files in the same form give the same digest.
            #expect(digests.count == 5)
            let foreign = try Model(path: own, options: ModelOptions(vae: other))
            #expect(try decoded(foreign) != wanted)
            // A folder states how its latents are scaled, a file does not: then the model's own scaling is kept.
            let scale = try foreign.vaeConfig().scalingFactor
            #expect(try scale == Model(path: other).vaeConfig().scalingFactor)
            let file = "\(other)/vae/diffusion_pytorch_model.safetensors"
            try FileManager.default.copyItem(atPath: file, toPath: "\(folder)/other.safetensors")
            let options = ModelOptions(vae: "\(folder)/other.safetensors")
            let kept = try Model(path: own, options: options).vaeConfig().scalingFactor
            #expect(try kept == Model(path: own).vaeConfig().scalingFactor && kept != scale)
        }
    }

    @Test(arguments: SingleFileLayout.kinds) func filesWithoutAVAENeedOne(kind: String) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/model.safetensors"
            try RawTensor.write(try tensors(kind) { !$0.hasPrefix(Self.vaePrefix) }, to: path)
            let refusal = #expect(throws: InputError.self) { _ = try Model(path: path) }
            #expect(refusal?.description.contains("--vae") == true)
            let options = ModelOptions(config: self.folder(kind))
            let report = try ModelReport(path: path, options: options, readsWeights: false)
            #expect(report.missing.contains { $0.contains("--vae") }, "\(report.missing)")
            var whole = options
            whole.vae = "\(self.folder(kind))/vae"
            let model = try Model(path: path, options: whole)
            try model.check(ModelNeeds(encoder: true, texts: true))
            #expect(try decoded(model) == decoded(Model(path: self.folder(kind))))
        }
    }

    @Test func whatIsNoVAEIsNamed() throws {
        try inTemporaryFolder { folder in
            let tiny = "\(folder)/taesd.safetensors"
            try RawTensor.write(["decoder.layers.0.weight": RawTensor(ones: [4])], to: tiny)
            let taesd = "\(folder)/taesd_encoder.safetensors"
            try RawTensor.write(["encoder.layers.0.conv.0.weight": RawTensor(ones: [4])], to: taesd)
            for (vae, part) in [
                (tiny, "TAESD"), (taesd, "TAESD"), ("\(folder)/none", "no file or folder"),
                (folder, "AutoencoderKL"),
                ("\(Self.fixtures)/lora/sd15-kohya.safetensors", "not a VAE"),
            ] {
                let error = #expect(throws: InputError.self) {
                    _ = try Model(path: self.folder("sd15"), options: ModelOptions(vae: vae))
                }
                let message = error?.description ?? ""
                #expect(message.contains(part) && message.contains("--vae"), "\(message)")
            }
            // A VAE alone can be described, but is not a model.
            let bare = "\(folder)/vae.safetensors"
            let own = try tensors("sd15") { $0.hasPrefix(Self.vaePrefix) }
            try RawTensor.write(renamed(own, dropping: Self.vaePrefix), to: bare)
            let report = try ModelReport(path: bare, options: ModelOptions(), readsWeights: true)
            #expect(report.kind == "autoencoder alone, file in the original layout")
            #expect(report.parts.map(\.name) == ["vae"] && report.refusal == nil)
            let error = #expect(throws: InputError.self) { _ = try Model(path: bare) }
            #expect(error?.description.contains("--vae") == true)
        }
    }

    /// A UNet alone in every form, with the other parts from a base model, gives the base model with this UNet.
    @Test(arguments: SingleFileLayout.kinds) func unetsAloneInEveryForm(kind: String) throws {
        try inTemporaryFolder { folder in
            let own = self.folder(kind)
            let prefix = "model.diffusion_model."
            let original = try tensors(kind) { $0.hasPrefix(prefix) }
            try RawTensor.write(original, to: "\(folder)/prefixed.safetensors")
            try RawTensor.write(
                renamed(original, dropping: prefix),
                to: "\(folder)/bare.safetensors"
            )
            let weights = "\(own)/unet/diffusion_pytorch_model.safetensors"
            try FileManager.default.copyItem(atPath: weights, toPath: "\(folder)/a.safetensors")
            func answer(_ model: Model) throws -> [Float] {
                try LoRATests.predict(model, kind).values
            }
            let wanted = try answer(Model(path: own))
            for path in [
                "\(folder)/prefixed.safetensors", "\(folder)/bare.safetensors",
                "\(folder)/a.safetensors", weights, "\(own)/unet",
            ] {
                let lone = #expect(throws: InputError.self) { _ = try Model(path: path) }
                #expect(lone?.description.contains("--base") == true, "\(lone?.description ?? "")")
                let model = try Model(path: path, options: ModelOptions(base: own))
                try model.check(ModelNeeds(encoder: true, texts: true))
                #expect(try answer(model) == wanted, "\(path)")
                #expect(try decoded(model) == decoded(Model(path: own)))
                let base = try Model(path: own).schedulerConfig()
                #expect(try model.schedulerConfig() == base)
                // LoRA files fit just as they fit the base.
                let lora = LoRASource(path: "\(Self.fixtures)/lora/\(kind)-kohya.safetensors")
                _ = try Model(path: path, options: ModelOptions(loras: [lora], base: own))
                let other = self.folder(kind == "sdxl" ? "sd15" : "sdxl")
                let error = #expect(throws: InputError.self) {
                    _ = try Model(path: path, options: ModelOptions(base: other))
                }
                #expect(error?.description.contains("another family") == true)
            }
            let useless = #expect(throws: InputError.self) {
                _ = try Model(path: own, options: ModelOptions(base: own))
            }
            #expect(useless?.description.contains("Leave it out") == true)
        }
    }

    /// The prediction type that a UNet's file states overrides the scheduler of the base.
    @Test func theFilesOwnPredictionCounts() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/v.safetensors"
            let weights = "\(self.folder("sd15"))/unet/diffusion_pytorch_model.safetensors"
            try RawTensor.write(
                try RawTensor.read(weights),
                metadata: ["modelspec.prediction_type": "v"],
                to: path
            )
            let options = ModelOptions(base: self.folder("sd15"))
            let model = try Model(path: path, options: options)
            #expect(try model.schedulerConfig().prediction == .vPrediction)
            #expect(model.predictionSource.contains("header") && !model.predictionIsGuess)
        }
    }
}

/// The kinds of files that people use, by family: which load, and which are refused with a reason. The table in
/// docs/models.md lists the kinds.
@Suite struct KindMatrixTests {
    private static let fixtures = SingleFileLayout.ownFixtures

    /// Every adapter, dialect and embedding with every family: it loads for the family that it was made for, and is
    /// otherwise refused with one line that names the file.
    @Test(arguments: SingleFileLayout.kinds) func adaptersAndEmbeddings(kind: String) throws {
        let model = "\(Self.fixtures)/\(kind)-tiny"
        var count = 0
        for place in ["lora", "adapters"] {
            let folder = "\(Self.fixtures)/\(place)"
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
            for name in names.sorted()
            where name.hasSuffix(".safetensors") && name != "expected.safetensors" {
                let path = "\(folder)/\(name)"
                // PEFT's files are for SD 1.
                let made = name.hasPrefix("peft") ? "sd15" : String(name.prefix { $0 != "-" })
                let options = ModelOptions(loras: [LoRASource(path: path)])
                let loads = made == kind
                let result = Result { try Model(path: model, options: options) }
                switch result {
                case .success(let model):
                    #expect(loads || made == "sd15" || made == "sd21", "\(kind) \(name)")
                    #expect(model.adapters.count == 1)
                case .failure(let error):
                    #expect(!loads, "\(kind) \(name): \(error)")
                    #expect("\(error)".contains(path) && error is InputError)
                }
                count += 1
            }
        }
        #expect(count >= 30)
        for name in ["sd15-one", "sd15-two", "sd21-two", "sdxl-two"] {
            let path = "\(Self.fixtures)/language/\(name).safetensors"
            let options = ModelOptions(
                embeddings: [try EmbeddingSource(argument: "\(path):word")]
            )
            let report = try ModelReport(path: model, options: options, readsWeights: false)
            // The two smaller families have text encoders of the same width.
            let fits = name.hasPrefix("sdxl") == (kind == "sdxl")
            #expect((report.refusal == nil) == fits, "\(kind) \(name) \(report.missing)")
        }
    }

    /// Every form of a whole model, and parts from elsewhere.
    @Test(arguments: SingleFileLayout.kinds) func formsOfModels(kind: String) throws {
        try inTemporaryFolder { folder in
            let own = "\(Self.fixtures)/\(kind)-tiny"
            let single = "\(folder)/model.safetensors"
            try SingleFileLayout(kind, size: "fixture").write(to: single)
            let config = ModelOptions(config: own)
            var models = [try Model(path: own), try Model(path: single, options: config)]
            models.append(try Model(path: own, options: ModelOptions(vae: "\(own)/vae")))
            models.append(try Model(path: "\(own)/unet", options: ModelOptions(base: own)))
            for model in models {
                try model.check(ModelNeeds(encoder: true, texts: true))
                _ = try model.schedulerConfig()
                _ = try model.architecture.geometry()
            }
            for other in KindFixture.all where other.family == kind && other.name != "refiner" {
                let model = try Model(path: try other.assemble(in: folder))
                try model.check(ModelNeeds(encoder: true, texts: true))
            }
        }
    }

    /// UNets that take a picture in addition to the latent, in every form: folder, single file, and alone with a plain
    /// model as the base.
    @Test(arguments: SingleFileLayout.kinds, GuidedFixture.uses)
    func modelsThatTakeAPicture(kind: String, use: String) throws {
        try inTemporaryFolder { folder in
            let own = try GuidedFixture.assemble(kind, use, in: folder)
            let plain = "\(Self.fixtures)/\(kind)-tiny"
            var tensors = try SingleFileLayout(kind, size: "fixture").tensors()
            tensors["model.diffusion_model.input_blocks.0.0.weight"] =
                try GuidedFixture.firstLayer(kind, use)
            let single = "\(folder)/model.safetensors"
            try RawTensor.write(tensors, to: single)
            let weights = "\(folder)/unet.safetensors"
            try FileManager.default.copyItem(
                atPath: "\(own)/unet/diffusion_pytorch_model.safetensors",
                toPath: weights
            )
            for (path, options) in [
                (own, ModelOptions()), (single, ModelOptions(config: own)),
                ("\(own)/unet", ModelOptions(base: plain)), (weights, ModelOptions(base: plain)),
            ] {
                let model = try Model(path: path, options: options)
                try model.check(ModelNeeds(encoder: true, texts: true))
                let geometry = try model.architecture.geometry()
                #expect(geometry.pictureInput == (use == "edit" ? .editing : .inpainting))
                #expect(geometry.pictureChannels == (use == "edit" ? 4 : 5))
            }
        }
    }

    /// The error for an unsupported format says what it is and how to convert it.
    @Test func otherFormatsAreNamed() throws {
        try inTemporaryFolder { folder in
            for (start, part) in [
                ("GGUF\u{3}\u{0}\u{0}\u{0}", "GGUF"), ("PK\u{3}\u{4}data", "pickled"),
                ("<!DOCTYPE html><p>Not found</p>", "web page"),
            ] {
                let path = "\(folder)/a.safetensors"
                try Data(start.utf8).write(to: URL(fileURLWithPath: path))
                for options in [ModelOptions(), ModelOptions(base: "\(Self.fixtures)/sd15-tiny")] {
                    let error = #expect(throws: InputError.self) {
                        _ = try Model(path: path, options: options)
                    }
                    #expect(
                        error?.description.contains(part) == true,
                        "\(error?.description ?? "")"
                    )
                    let isConverted = part == "web page" || error?.remedy.contains("python") == true
                    #expect(isConverted, "\(error?.remedy ?? "")")
                }
            }
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// What is inferred about a model where its weights do not tell: its prediction type, and how it is sampled.
@Suite struct ModelHintTests {
    private func single(
        _ kind: String,
        name: String = "a",
        yaml: String? = nil,
        spread: [UInt8]? = nil,
        _ body: (Model) throws -> Void
    ) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/\(name).safetensors"
            let shapes = try SingleFileLayout(kind, size: "published").entries.mapValues(\.shape)
            try RawTensor.writeHollow(shapes, to: path)
            if let spread {
                let last =
                    "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
                try Self.fill(last, with: spread, in: path)
            }
            if let yaml {
                try yaml.write(toFile: "\(folder)/\(name).yaml", atomically: true, encoding: .utf8)
            }
            try body(try Model(path: path))
        }
    }

    /// Fills a tensor of a file with repeated bytes.
    private static func fill(_ name: String, with bytes: [UInt8], in path: String) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        defer { try? file.close() }
        let length = try #require(try file.read(upToCount: 8))
        let size = length.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
        let text = try #require(try file.read(upToCount: size))
        let json = try JSONSerialization.jsonObject(with: text)
        let header = try #require(json as? [String: [String: Any]])
        let offsets = try #require(header[name]?["data_offsets"] as? [Int])
        try file.seek(toOffset: UInt64(8 + size + offsets[0]))
        let count = (offsets[1] - offsets[0]) / bytes.count
        try file.write(contentsOf: Data(Array(repeatElement(bytes, count: count).joined())))
    }

    @Test(arguments: [
        ("model:\n  params:\n    parameterization: \"v\"\n", PredictionType.vPrediction),
        ("model:\n  params:\n    parameterization: v # velocity\n", .vPrediction),
        ("model:\n  params:\n    parameterization: \"eps\"\n", .epsilon),
        ("{model: {params: {parameterization: \"v\"}}}", .vPrediction),
        ("model: {params: {x: 1, 'parameterization' : 'v', y: 2}}", .vPrediction),
        ("model:\n  params:\n    \"parameterization\": v\n", .vPrediction),
        ("# parameterization: eps\nmodel:\n  params:\n    parameterization: v\n", .vPrediction),
    ])
    func theYAMLBesideItTells(yaml: String, expected: PredictionType) throws {
        try single("sd15", yaml: yaml) { model in
            let prediction = try model.schedulerConfig().prediction
            #expect(prediction == expected)
            #expect(model.predictionSource.hasSuffix("a.yaml") && !model.predictionIsGuess)
        }
        try single("sd21", yaml: yaml) { model in
            let prediction = try model.schedulerConfig().prediction
            #expect(prediction == expected)
            let side = try model.unetConfig().sampleSize
            #expect(side == (expected == .epsilon ? 64 : 96))
        }
    }

    @Test func aDifferentYAMLIsRejectedOrIgnored() throws {
        try single("sd15", yaml: "model:\n  target: ldm\n") { model in
            let prediction = try model.schedulerConfig().prediction
            #expect(prediction == .epsilon)
            #expect(model.predictionIsGuess)
        }
        let error = #expect(throws: InputError.self) {
            try single("sd15", yaml: "model: {}\n  parameterization: x0") { _ in }
        }
        #expect(error?.description.contains("a.yaml: parameterization: 'x0'") == true)
    }

    /// Half-precision values of ±0.1 and ±0.08: above and below ComfyUI's threshold of 0.09.
    @Test(arguments: [
        ([0x66, 0x2E, 0x66, 0xAE] as [UInt8], PredictionType.vPrediction, 96),
        ([0x1F, 0x2D, 0x1F, 0xAD], .epsilon, 64),
    ])
    func theLastNormTellsTheTwoBaseModelsOfSD2Apart(
        bytes: [UInt8],
        expected: PredictionType,
        side: Int
    ) throws {
        try single("sd21", spread: bytes) { model in
            let prediction = try model.schedulerConfig().prediction
            #expect(prediction == expected)
            let found = try model.unetConfig().sampleSize
            #expect(found == side)
            #expect(model.predictionIsGuess && model.predictionSource.contains("norm1.bias"))
        }
    }

    /// File names that people use, and what is inferred from them.
    @Test(arguments: [
        ("sd_xl_turbo_1.0_fp16", "Turbo 4 1.0 euler_a trailing"),
        ("dreamshaperXL_lightningDPMSDE", "Lightning 4 1.0 euler trailing"),
        ("sdxl_lightning_8step", "Lightning 8 1.0 euler trailing"),
        ("SDXL-Lightning-2steps", "Lightning 2 1.0 euler trailing"),
        ("photonLCM_v10", "LCM 4 1.0 lcm -"), ("LCM_Dreamshaper_v7", "LCM 4 1.0 lcm -"),
        ("Hyper-SDXL-8steps", "Hyper-SD 8 1.0 ddim trailing"),
        ("Hyper-SD15-12steps-CFG", "Hyper-SD 12 5.0 ddim trailing"),
        ("TurboVisionXL", "Turbo 4 1.0 euler_a trailing"),
        ("XLTurbo", "Turbo 4 1.0 euler_a trailing"),
        ("hyperrealism_v2", nil), ("sd_xl_base_1.0", nil), ("calcmap", nil),
        ("v1-5-pruned-emaonly", nil), ("turbocharged", nil),
    ])
    func namesTellDistilledModels(name: String, expected: String?) throws {
        try single("sd15", name: name) { model in
            #expect(model.distillation.map(Self.words) == expected)
        }
    }

    private static func words(_ found: Distillation) -> String {
        "\(found.method.rawValue) \(found.steps) \(found.guidance) "
            + "\(found.scheduler?.rawValue ?? "-") \(found.spacing?.rawValue ?? "-")"
    }

    /// A LoRA can make a model distilled, and a folder has its own scheduler.
    @Test func lorasAndFoldersReportTheirKind() throws {
        try inTemporaryFolder { folder in
            let fixtures = SingleFileLayout.ownFixtures
            func model(_ path: String, lora: String? = nil) throws -> Model {
                var options = ModelOptions()
                if let lora {
                    let file = "\(folder)/\(lora).safetensors"
                    try FileManager.default.copyItem(
                        atPath: "\(fixtures)/lora/sdxl-kohya.safetensors",
                        toPath: file
                    )
                    options.loras = [LoRASource(path: file)]
                }
                return try Model(path: path, options: options)
            }
            let base = "\(fixtures)/sdxl-tiny"
            #expect(try model(base).distillation == nil)
            let lightning = try model(base, lora: "sdxl_lightning_4step_lora").distillation
            #expect(lightning.map(Self.words) == "Lightning 4 1.0 euler trailing")
            let lcm = try model(base, lora: "lcm-lora-sdxl").distillation
            #expect(lcm.map(Self.words) == "LCM 4 1.0 lcm -")
            // A LoRA for pictures of lightning.
            #expect(try model(base, lora: "forked_lightning_v3").distillation == nil)
            let copy = "\(folder)/sdxl-turbo"
            try FileManager.default.copyItem(atPath: base, toPath: copy)
            let turbo = try model("\(copy)/").distillation
            #expect(turbo.map(Self.words) == "Turbo 4 1.0 - -")
        }
    }

    @Test func theTitleComesFromTheHeader() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            let tensors = try SingleFileLayout("sd15", size: "fixture").tensors()
            try RawTensor.write(
                tensors,
                metadata: ["modelspec.title": "A model, Lightning 1step x0"],
                to: path
            )
            let found = try #require(try Model(path: path).distillation)
            #expect(found.method == .lightning && found.steps == 1 && found.predictsPicture)
        }
    }
}

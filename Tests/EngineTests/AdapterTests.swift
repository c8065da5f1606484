import Engine
import Foundation
import TestSupport
import Testing

/// LoHa, LoKr, DoRA, IA3, OFT, BOFT and full differences against LyCORIS and PEFT
/// (`Training/reference/make_adapter_fixtures.py`).
@Suite struct AdapterTests {
    static let folder = "\(SingleFileLayout.ownFixtures)/adapters"
    static let cases: [LoRATests.Case] = {
        let data = FileManager.default.contents(atPath: "\(folder)/adapters.json") ?? Data()
        return (try? JSONDecoder().decode([LoRATests.Case].self, from: data)) ?? []
    }()
    private static let checkpoint = "\(SingleFileLayout.ownFixtures)/sd15-tiny"

    @Test func thereAreCases() { #expect(Self.cases.count >= 29) }

    @Test(arguments: cases) func networksAnswerAsLyCORISAndPEFT(_ one: LoRATests.Case) throws {
        try LoRATests.expectAnswers(one, change: 0.01)
    }

    /// What `inspect` reports for each file alone, and for a model with it.
    @Test(arguments: [
        ("sd15-loha", "LoHa", "6 LoHa of rank 2", "2 LoHa of rank 2"),
        ("sd15-dora", "DoRA", "6 DoRA of rank 2", "2 DoRA of rank 2"),
        ("sd15-loha-dora", "LoHa with DoRA", "6 LoHa with DoRA of rank 2", nil),
        ("sd15-lokr-whole", "LoKr", "4 LoKr", "2 LoKr"),
        ("sd15-ia3", "IA3", "6 IA3", "2 IA3"),
        (
            "sd15-full", "full difference, norm difference",
            "3 full differences; 2 norm differences", "2 full differences"
        ),
        ("sd15-oft", "OFT", "6 OFT in blocks of 4, 8", "2 OFT in blocks of 4, 8"),
        ("sd15-boft", "BOFT", "6 BOFT in blocks of 8", "2 BOFT in blocks of 8"),
    ])
    func reportsCountModules(file: String, kind: String, unet: String, text: String?) throws {
        let path = "\(Self.folder)/\(file).safetensors"
        let alone = try ModelReport(path: path, options: ModelOptions(), readsWeights: true)
        #expect(alone.refusal == nil && alone.kind == kind)
        func fact(_ name: String, _ report: ModelReport) -> String? {
            report.facts.first { $0.name == name }?.value
        }
        #expect(fact("unet modules", alone) == unet)
        #expect(fact("text_encoder modules", alone) == text)
        let options = ModelOptions(loras: [LoRASource(path: path, weight: 0.5)])
        let merged = try ModelReport(path: Self.checkpoint, options: options, readsWeights: false)
        let both = ["unet \(unet)"] + (text.map { ["text_encoder \($0)"] } ?? [])
        #expect(fact("lora modules", merged) == both.joined(separator: ", "))
        let fields = try JSON(merged.json.utf8, place: "inspect").object
        let adapter = try #require(fields?["adapters"]?.array?.first?.object)
        #expect(adapter["file"]?.string == path && adapter["weight"]?.string == "0.5")
        let groups = adapter["modules"]?.array?.compactMap(\.object) ?? []
        let counted = groups.reduce(0) { $0 + ($1["modules"]?.integer ?? 0) }
        #expect(counted == alone.adapters[0].groups.reduce(0) { $0 + $1.modules })
        #expect(groups.first?["component"]?.string == "unet")
    }

    /// Parts of the model with their own adapter weights.
    @Test(arguments: [
        ("", Float(0.5), Float(0.5)), (":unet=2", 2, 2), (":unet=2:mid=0", 0, 2),
        (":mid=4", 4, 0.5), (":up=4", 0.5, 0.5), (":down=3", 0.5, 3), (":down=3:down.0=1", 0.5, 1),
        (":te=9", 0.5, 0.5),
    ])
    func partsHaveWeights(parts: String, middle: Float, down: Float) throws {
        let names = ["mid_block.resnets.0.conv1", "down_blocks.0.resnets.0.conv1"]
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let plain = try Model(path: Self.checkpoint).weights(.unet)
            var tensors: [String: RawTensor] = [:]
            let table = try Model(path: Self.checkpoint).table(.unet)
            for name in names {
                let shape = try #require(table.shape("\(name).weight"))
                tensors["unet.\(name).diff"] = RawTensor(ones: shape)
            }
            try RawTensor.write(tensors, to: file)
            let source = try LoRASource(argument: "\(file):0.5\(parts)")
            let model = try Model(path: Self.checkpoint, options: ModelOptions(loras: [source]))
            let weights = try model.weights(.unet)
            for (name, added) in zip(names, [middle, down]) {
                let shape = try #require(table.shape("\(name).weight"))
                let old = try plain.tensor("\(name).weight", shape).values
                let new = try weights.tensor("\(name).weight", shape).values
                #expect(new == old.map { $0 + added }, "\(name)")
            }
        }
    }

    /// A change that overflows is reported when the model is opened, with its module and weight.
    @Test(arguments: [Float(1), 100]) func overflowIsNamed(weight: Float) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            var huge = RawTensor(ones: [32, 4, 3, 3])
            let value = withUnsafeBytes(of: Float(1e37)) { Array($0) }
            huge.bytes = Array(repeatElement(value, count: 32 * 36).joined())
            try RawTensor.write(["lora_unet_conv_in.diff": huge], to: file)
            let options = ModelOptions(loras: [LoRASource(path: file, weight: weight)])
            guard weight > 1 else {
                _ = try Model(path: Self.checkpoint, options: options)
                return
            }
            let error = #expect(throws: InputError.self) {
                _ = try Model(path: Self.checkpoint, options: options)
            }
            #expect(error?.place == "\(file): lora_unet_conv_in")
            #expect(
                error?.problem.contains("weight of 100.0") == true,
                "\(String(describing: error))"
            )
            #expect(error?.problem.contains("conv_in.weight") == true)
        }
    }

    /// PEFT's settings set the scale, and anything else that they ask for is refused; a notice says if they are
    /// missing.
    @Test func settingsOfPEFTAreRead() throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/peft"
            try FileManager.default.copyItem(atPath: "\(Self.folder)/peft-loha", toPath: copy)
            let source = LoRASource(path: "\(copy)/adapter_model.safetensors")
            let config = "\(copy)/adapter_config.json"
            #expect(try AdapterFile(source).notice == nil)
            let text = try String(contentsOfFile: config, encoding: .utf8)
            for (field, value) in [
                ("coft", "true"), ("fan_in_fan_out", "true"),
                ("init_lora_weights", "\"pissa_niter_4\""),
            ] {
                try text.replacing("{", with: "{\"\(field)\": \(value),", maxReplacements: 1)
                    .write(toFile: config, atomically: true, encoding: .utf8)
                let error = #expect(throws: InputError.self) { _ = try AdapterFile(source) }
                #expect(error?.place == "\(config): \(field)")
            }
            try FileManager.default.removeItem(atPath: config)
            #expect(try AdapterFile(source).notice?.contains("adapter_config.json") == true)
        }
    }
}

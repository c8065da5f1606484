import Engine
import Foundation
import TestSupport
import Testing

/// What the headers tell about a model, before anything is rendered.
@Suite struct ModelCheckTests {
    private let needs = ModelNeeds(encoder: true, texts: true)

    /// A copy of a fixture with different tensors in the file of one part.
    private func changed(
        _ part: String,
        in kind: String = "sdxl-tiny",
        _ change: (inout [String: RawTensor]) throws -> Void,
        _ body: (_ folder: String, _ weights: String) throws -> Void
    ) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: "\(SingleFileLayout.ownFixtures)/\(kind)",
                toPath: copy
            )
            let stem = part.hasPrefix("text") ? "model" : "diffusion_pytorch_model"
            let weights = "\(copy)/\(part)/\(stem).safetensors"
            var tensors = try RawTensor.read(weights)
            try change(&tensors)
            try RawTensor.write(tensors, to: weights)
            try body(copy, weights)
        }
    }

    @Test(arguments: ["sd15-tiny", "sd21-tiny", "sdxl-tiny"]) func wholeModelsPass(
        kind: String
    ) throws {
        let model = try Model(path: "\(SingleFileLayout.ownFixtures)/\(kind)")
        let used = try model.check(needs)
        // Every weight except position ids is used.
        for (component, names) in used {
            let all = try model.table(component).names.filter { !$0.hasSuffix("position_ids") }
            #expect(names == all, "\(component)")
        }
        #expect(used.count == model.family.components.count)
        #expect(try model.scan(used, notes: nil) == used.reduce(0) { $0 + $1.names.count })
    }

    /// A part, one of its weights that a render would read only in its last step, and whether a render from a prompt
    /// alone needs it.
    @Test(arguments: [
        ("unet", "conv_out.weight", true), ("vae", "decoder.conv_out.weight", true),
        ("vae", "decoder.up_blocks.0.resnets.0.norm1.bias", true),
        ("vae", "post_quant_conv.weight", true), ("vae", "encoder.conv_in.weight", false),
        ("text_encoder", "text_model.final_layer_norm.weight", true),
        ("text_encoder_2", "text_projection.weight", true),
    ])
    func missingAndMisshapenWeightsAreNamed(part: String, name: String, always: Bool) throws {
        let own = part == "text_encoder" ? "final_layer_norm.weight" : name
        func key(_ tensors: [String: RawTensor]) throws -> String {
            try #require(tensors.keys.first { $0 == name || $0.hasSuffix(own) })
        }
        try changed(part) {
            try $0[key($0)] = nil
        } _: { copy, _ in
            let model = try Model(path: copy)
            let error = #expect(throws: InputError.self) { try model.check(needs) }
            #expect(error?.place.contains("\(copy)/\(part)/") == true, "\(error as Any)")
            #expect(error?.problem.contains("missing") == true, "\(error as Any)")
            if !always {
                try model.check(ModelNeeds(encoder: false, texts: true))
            }
        }
        try changed(part) { tensors in
            let key = try key(tensors)
            tensors[key]?.shape.insert(1, at: 0)
        } _: { copy, weights in
            let model = try Model(path: copy)
            let error = #expect(throws: InputError.self) { try model.check(needs) }
            #expect(error?.place.hasPrefix("\(weights): ") == true, "\(error as Any)")
        }
        try changed(part) { tensors in
            let key = try key(tensors)
            let shape = tensors[key]?.shape ?? []
            let size = 4 * shape.reduce(1, *)
            tensors[key] = RawTensor(
                type: .int32,
                shape: shape,
                bytes: Array(repeating: 0, count: size)
            )
        } _: { copy, weights in
            let error = #expect(throws: InputError.self) {
                try Model(path: copy).check(needs)
            }
            #expect(error?.place.hasPrefix("\(weights): ") == true, "\(error as Any)")
            #expect(error?.problem.contains("I32") == true, "\(error as Any)")
        }
    }

    /// An inpainting model with the configuration of a plain one.
    @Test func nineChannelsAreInpainting() throws {
        try changed("unet") { tensors in
            tensors["conv_in.weight"] = RawTensor(zeros: [32, 9, 3, 3])
        } _: { copy, _ in
            let error = #expect(throws: InputError.self) {
                try Model(path: copy).check(needs)
            }
            #expect(error?.place.hasSuffix("in_channels") == true, "\(error as Any)")
            #expect(error?.problem.contains("weights take 9") == true, "\(error as Any)")
            #expect(error?.remedy.contains("masked part") == true, "\(error as Any)")
        }
    }

    /// A folder with parts of two models.
    @Test func partsOfOtherModelsAreNamed() throws {
        try inTemporaryFolder { folder in
            for (part, words) in [("unet", "Stable Diffusion XL"), ("text_encoder", "prompts of")] {
                let copy = "\(folder)/\(part)"
                let fixtures = SingleFileLayout.ownFixtures
                try FileManager.default.copyItem(atPath: "\(fixtures)/sdxl-tiny", toPath: copy)
                try FileManager.default.removeItem(atPath: "\(copy)/\(part)")
                // The second text encoder of SDXL is wider than the first.
                let other = part == "unet" ? "sd15-tiny/unet" : "sdxl-tiny/text_encoder_2"
                try FileManager.default.copyItem(
                    atPath: "\(fixtures)/\(other)",
                    toPath: "\(copy)/\(part)"
                )
                let error = #expect(throws: InputError.self) {
                    try Model(path: copy).check(needs)
                }
                #expect(error?.problem.contains(words) == true, "\(error as Any)")
            }
        }
    }

    /// `inspect` reports faults, too.
    @Test func reportsListFaults() throws {
        try changed("vae") {
            $0["decoder.conv_out.weight"] = nil
        } _: { copy, _ in
            let report = try ModelReport(path: copy, options: ModelOptions(), readsWeights: false)
            #expect(report.missing == [])
            #expect(report.faults.count == 1)
            #expect(report.lines.contains { $0.hasPrefix("fault: ") && $0.contains("conv_out") })
            #expect(!report.lines.contains("nothing is missing"))
        }
    }

    /// NaN and infinities of every number type, in the middle and in the remainder at the end.
    @Test(arguments: [
        (SafeTensors.ElementType.float32, [0, 0, 0xC0, 0x7F] as [UInt8], "NaN"),
        (.float32, [0, 0, 0x80, 0xFF], "infinite"), (.float16, [0, 0x7E], "NaN"),
        (.float16, [0, 0xFC], "infinite"), (.bfloat16, [0xC0, 0x7F], "NaN"),
        (.bfloat16, [0x80, 0x7F], "infinite"),
    ])
    func whatIsNotFiniteIsNamed(
        type: SafeTensors.ElementType,
        bad: [UInt8],
        words: String
    ) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            for (count, at) in [(100, 50), (101, 100), (1, 0), (64, 63), (77, 3)] {
                // The largest finite number of each type passes.
                let largest: [UInt8] =
                    switch type {
                    case .float32: [0xFF, 0xFF, 0x7F, 0x7F]
                    case .float16: [0xFF, 0x7B]
                    default: [0x7F, 0x7F]
                    }
                var bytes = Array(repeatElement(largest, count: count).joined())
                let sound = RawTensor(type: type, shape: [count], bytes: bytes)
                bytes.replaceSubrange(at * bad.count..<(at + 1) * bad.count, with: bad)
                try RawTensor.write(
                    ["a": sound, "b": RawTensor(type: type, shape: [count], bytes: bytes)],
                    to: file
                )
                let tensors = try SafeTensors(file: file)
                try tensors.refuseFlaw(in: "a")
                let error = #expect(throws: InputError.self) { try tensors.refuseFlaw(in: "b") }
                #expect(error?.place == "\(file): b")
                #expect(error?.problem.contains("element \(at)") == true, "\(error as Any)")
                #expect(error?.problem.contains(words) == true, "\(error as Any)")
            }
        }
    }

    @Test(arguments: [
        ("unet", "conv_out.weight"), ("vae", "decoder.conv_out.bias"),
        ("vae", "encoder.conv_in.weight"),
    ])
    func checkpointsWithNaNAreRefused(part: String, name: String) throws {
        try changed(part) { tensors in
            let isHalf = tensors[name]?.type == .float16
            let nan: [UInt8] = isHalf ? [0, 0x7E] : [0, 0, 0xC0, 0x7F]
            tensors[name]?.bytes.replaceSubrange(0..<nan.count, with: nan)
        } _: { copy, weights in
            let model = try Model(path: copy)
            let used = try model.check(needs)
            let error = #expect(throws: InputError.self) { try model.scan(used, notes: nil) }
            #expect(error?.place == "\(weights): \(name)")
            // A render that does not encode does not read the encoder.
            if name.hasPrefix("encoder.") {
                let others = try model.check(ModelNeeds(encoder: false, texts: true))
                try model.scan(others, notes: nil)
                return
            }
            // The process that prepares the weights finds it, too.
            #expect {
                if part == "unet" {
                    _ = try UNet(model: model, options: EngineOptions(), cache: nil)
                } else {
                    _ = try VAE(
                        model: model,
                        options: EngineOptions(),
                        halves: [.decoder],
                        cache: nil
                    )
                }
            } throws: {
                "\($0)".contains("\(weights): \(name)")
            }
        }
    }

    /// A scan without faults is recorded, and repeated only if the file has been modified.
    @Test func scansAreKept() throws {
        try changed("vae") { _ in
        } _: { copy, weights in
            let model = try Model(path: copy)
            let used = try model.check(needs)
            let notes = "\(copy)/notes"
            func scan(smallest: Int = 1) throws -> Int {
                try model.scan(used, notes: notes, smallest: smallest, settling: -1)
            }
            let all = used.reduce(0) { $0 + $1.names.count }
            #expect(try scan(smallest: 1 << 40) == all)
            #expect(try scan() == all)
            #expect(try scan() == 0)
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -1000)],
                ofItemAtPath: weights
            )
            #expect(try scan() == used.first { $0.component == .vae }?.names.count)
        }
    }
}

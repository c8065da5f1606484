import Engine
import Foundation
import TestSupport
import Testing

/// 8-bit floating-point weights, against PyTorch's conversions (`Training/reference/make_kind_fixtures.py`).
@Suite struct Float8Tests {
    private static let folder = KindFixture.folder

    /// Every code of both formats, bit for bit.
    @Test(arguments: [SafeTensors.ElementType.float8, .wideFloat8])
    func codesMeanWhatPyTorchReads(_ type: SafeTensors.ElementType) throws {
        let data = try #require(FileManager.default.contents(atPath: "\(Self.folder)/float8.json"))
        let all = try JSONSerialization.jsonObject(with: data) as? [String: [Int]] ?? [:]
        let wanted = try #require(all[type.rawValue]).map {
            Float(bitPattern: UInt32(truncatingIfNeeded: $0))
        }
        try inTemporaryFolder { folder in
            let tensor = RawTensor(type: type, shape: [256], bytes: (0..<256).map { UInt8($0) })
            try RawTensor.write(["a": tensor], to: "\(folder)/a.safetensors")
            let file = try SafeTensors(file: "\(folder)/a.safetensors")
            let found = try file.tensor("a").values
            #expect(found.count == 256 && wanted.count == 256)
            for (a, b) in zip(found, wanted) {
                #expect(a.isNaN && b.isNaN || a.bitPattern == b.bitPattern)
            }
            #expect(throws: InputError.self) { try file.refuseFlaw(in: "a") }
        }
    }

    /// A file that PyTorch wrote.
    @Test func filesAreReadAsPyTorchReadsThem() throws {
        let file = try SafeTensors(file: "\(Self.folder)/float8.safetensors")
        let wanted = try SafeTensors(file: "\(Self.folder)/float8-expected.safetensors")
        for name in ["a", "b"] {
            #expect(try file.tensor("\(name).weight").values == wanted.tensor(name).values)
            try file.refuseFlaw(in: "\(name).weight")
        }
    }

    /// A UNet with 8-bit weights, scaled as ComfyUI does, gives bit-identical results to one with the same weights in
    /// 32 bits.
    @Test func modelsOfEightBitsAreThoseOfTheirNumbers() throws {
        let kind = try KindFixture.named("bk-tiny")
        try inTemporaryFolder { folder in
            let path = try kind.assemble(in: folder)
            let weights = "\(path)/unet/diffusion_pytorch_model.safetensors"
            let own = try RawTensor.read(weights)
            var (short, long) = (own, own)
            for (i, name) in own.keys.sorted().enumerated() where name.hasSuffix(".weight") {
                guard let tensor = own[name], tensor.shape.count > 1 else { continue }
                let isWide = i % 2 == 0
                // The upper byte of a half-precision number, or in the other format any code but NaN.
                let codes = stride(from: 1, to: tensor.bytes.count, by: 2).map { at -> UInt8 in
                    let code = tensor.bytes[at]
                    return isWide ? code : (code & 0x87) | UInt8((3 + at % 4) << 3)
                }
                let type: SafeTensors.ElementType = isWide ? .wideFloat8 : .float8
                short[name] = RawTensor(type: type, shape: tensor.shape, bytes: codes)
                let scale = 0.25 + Float(i % 3) * 0.125
                let stem = name.dropLast("weight".count)
                short["\(stem)scale_weight"] = Self.floats([scale])
                short["\(stem)scale_input"] = Self.floats([1])
                let file = "\(folder)/one.safetensors"
                try RawTensor.write(["a": short[name] ?? tensor], to: file)
                let values = try SafeTensors(file: file).tensor("a").values.map { $0 * scale }
                long[name] = Self.floats(values, shape: tensor.shape)
            }
            short["scaled_fp8"] = RawTensor(type: .float8, shape: [0], bytes: [])
            func answer() throws -> [Float] {
                let model = try Model(path: path)
                try model.scan(try model.check(ModelNeeds(encoder: true, texts: true)), notes: nil)
                let unet = try UNet(model: model, options: EngineOptions())
                return try unet.predict(
                    Tensor((0..<256).map { sin(Float($0)) }, shape: [1, 8, 8, 4]),
                    timestep: 501,
                    context: Tensor((0..<77 * 32).map { cos(Float($0)) }, shape: [1, 77, 32]),
                    pooled: nil,
                    timeIDs: nil
                ).values
            }
            try RawTensor.write(long, to: weights)
            let wanted = try answer()
            try RawTensor.write(short, to: weights)
            #expect(try answer() == wanted)
            let report = try ModelReport(path: path, options: ModelOptions(), readsWeights: true)
            #expect(report.refusal == nil)
            #expect(report.parts.first?.types.contains("F8_E4M3") == true)
            // A scale for each row is not supported.
            let name = try #require(short.keys.sorted().first { $0.hasSuffix("scale_weight") })
            short[name] = Self.floats([1, 2])
            try RawTensor.write(short, to: weights)
            let error = #expect(throws: InputError.self) { _ = try answer() }
            #expect(error?.description.contains("scale_weight") == true)
        }
    }

    private static func floats(_ values: [Float], shape: [Int] = [1]) -> RawTensor {
        RawTensor(
            type: .float32,
            shape: shape == [1] ? [values.count] : shape,
            bytes: values.flatMap { withUnsafeBytes(of: $0) { Array($0) } }
        )
    }

    /// Unsupported types are ignored in tensors that nothing needs, and named in the error for other tensors.
    @Test func oddTypesMatterOnlyWhereTheyAreNeeded() throws {
        try inTemporaryFolder { folder in
            func write(_ type: String, _ name: String) throws -> String {
                let path = "\(folder)/a.safetensors"
                let header =
                    "{\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":[4],\"data_offsets\":[0,2]}}"
                let length = withUnsafeBytes(of: UInt64(header.utf8.count)) { Array($0) }
                try Data(length + Array(header.utf8) + [0, 0]).write(to: URL(fileURLWithPath: path))
                return path
            }
            let file = try SafeTensors(file: try write("F4", "a"))
            let error = #expect(throws: InputError.self) { _ = try file.tensor("a") }
            #expect(error?.description.contains("F4") == true)
            #expect(throws: InputError.self) { _ = try SafeTensors(file: try write("", "a")) }
            // A known type must have as many bytes as its shape implies.
            #expect(throws: InputError.self) { _ = try SafeTensors(file: try write("F16", "a")) }
            var tensors = try SingleFileLayout("sd15", size: "fixture").tensors()
            let extra = "model_ema.decay"
            tensors[extra] = RawTensor(
                type: .int64,
                shape: [1],
                bytes: Array(repeating: 0, count: 8)
            )
            tensors["something.packed"] = RawTensor(type: .other, shape: [3], bytes: [1, 2])
            let path = "\(folder)/model.safetensors"
            try RawTensor.write(tensors, to: path)
            let options = ModelOptions(
                vocabulary: "\(SingleFileLayout.ownFixtures)/sd15-tiny/tokenizer"
            )
            let report = try ModelReport(path: path, options: options, readsWeights: true)
            #expect(
                report.facts.contains { $0.name == "ignored" && $0.value.contains("something") }
            )
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Weights that a device converts from the file's type give the same bits as weights converted to float32 beforehand.
@Suite(.serialized, .enabled(if: TestedBackends.hasTorch)) struct StoredWeightTests {
    private static let shapes = ["a": [6, 8], "b": [6, 8], "c": [4, 8, 3, 3]]

    /// A file of random numbers below 2, including subnormal ones.
    private func file(_ type: String, in folder: String) throws -> SafeTensors {
        var random = SystemRandomNumberGenerator()
        var (entries, data) = ([String](), Data())
        for (name, shape) in Self.shapes.sorted(by: { $0.key < $1.key }) {
            let start = data.count
            for _ in 0..<shape.reduce(1, *) {
                // Below the largest exponent there is neither infinity nor NaN.
                switch type {
                case "F32":
                    let bits = UInt32.random(in: 0...UInt32.max, using: &random) & 0xBFFF_FFFF
                    withUnsafeBytes(of: bits.littleEndian) { data.append(contentsOf: $0) }
                default:
                    let bits = UInt16.random(in: 0...UInt16.max, using: &random) & 0xBFFF
                    withUnsafeBytes(of: bits.littleEndian) { data.append(contentsOf: $0) }
                }
            }
            entries.append(
                "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(start),\(data.count)]}"
            )
        }
        var header = "{\(entries.joined(separator: ","))}"
        header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        let length = UInt64(header.utf8.count)
        let path = "\(folder)/\(type).safetensors"
        let whole = withUnsafeBytes(of: length.littleEndian) { Data($0) } + Data(header.utf8) + data
        try whole.write(to: URL(fileURLWithPath: path))
        return try SafeTensors(file: path)
    }

    private func stored(_ name: String, _ file: SafeTensors) throws -> StoredWeight {
        let (info, bytes) = (try #require(file.info(name)), try #require(file.bytes(name)))
        return try #require(StoredWeight(file, bytes, info.type))
    }

    /// The outputs of layers with these weights for one picture.
    private func outputs(_ backend: any Backend, _ file: SafeTensors, isStored: Bool) throws
        -> [Float]
    {
        func parameters(_ names: [String], _ shape: [Int]) throws -> Parameters {
            guard isStored else {
                let tensors = try names.map { try file.tensor($0) }
                return Parameters(Tensor(chaining: tensors, shape: shape))
            }
            return Parameters(
                stored: try names.map { try stored($0, file) },
                shape: shape,
                bias: nil
            )
        }
        let x = backend.upload(
            Tensor((0..<5 * 7 * 8).map { sin(Float($0)) }, shape: [1, 5, 7, 8])
        )
        func linear(_ outputs: Int, _ read: () throws -> Parameters) throws -> [Float] {
            let weights = try backend.prepareLinear(
                inputs: 8,
                outputs: outputs,
                hasBias: false,
                read
            )
            return backend.download(backend.linear(x, weights, then: .identity, with: nil)).values
        }
        let conv = try backend.prepareConv(inputs: 8, outputs: 4, kernel: 3, stride: 1) {
            try parameters(["c"], [4, 8, 3, 3])
        }
        let pair = try linear(12) { try parameters(["a", "b"], [12, 8]) }
        let some = try linear(3) { try parameters(["b"], [6, 8]).rows(2..<5) }
        let picture = backend.conv2d(x, conv, padding: .all(1), residual: nil)
        return pair + some + backend.download(picture).values
    }

    @Test(arguments: ["F32", "F16", "BF16"], [Precision.f32, .bf16, .f16])
    func theBitsAreTheSame(_ type: String, _ precision: Precision) throws {
        try inTemporaryFolder { folder in
            let file = try file(type, in: folder)
            let gpus = try FakeTorch.buildGPUs(
                in: folder,
                count: 1,
                real: try TorchFinder().find(nil).folder
            )
            try FakeTorch.with(gpus) {
                for (device, torch) in [
                    (DeviceName.processor, nil), (.numbered(.cuda, 0), Optional(folder)),
                ] {
                    let backend = try EngineOptions(
                        backend: .torch,
                        precision: precision,
                        device: device,
                        torch: torch
                    ).makeBackend()
                    #expect(backend.readsStoredWeights)
                    let (whole, converted) = try backend.checking {
                        (
                            try outputs(backend, file, isStored: true),
                            try outputs(backend, file, isStored: false)
                        )
                    }
                    let isSame = whole.map(\.bitPattern) == converted.map(\.bitPattern)
                    #expect(isSame, "\(device)")
                    #expect(whole.contains { $0 != 0 })
                }
            }
        }
    }

    /// Weights of other types, and unaligned ones, are converted on the host.
    @Test func whatNotEveryDeviceReadsIsConverted() throws {
        try inTemporaryFolder { folder in
            let file = try file("F16", in: folder)
            let bytes = try #require(file.bytes("a"))
            #expect(StoredWeight(file, bytes, .float8) == nil)
            #expect(StoredWeight(file, bytes, .float64) == nil)
            let odd = UnsafeRawBufferPointer(rebasing: bytes[1..<3])
            #expect(StoredWeight(file, odd, .float16) == nil)
        }
    }
}

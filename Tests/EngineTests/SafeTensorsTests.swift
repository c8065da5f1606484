import Engine
import Foundation
import TestSupport
import Testing

@Suite struct SafeTensorsTests {
    @Test func readsWhatItWrites() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let values = Tensor([1, -2.5, 3e-30, .infinity, 0, 7], shape: [2, 3])
            try SafeTensors.write(
                [("x", values), ("empty", Tensor(zeros: [0, 4]))],
                metadata: ["format": "pt"],
                to: file
            )
            let read = try SafeTensors(file: file)
            #expect(read.names == ["empty", "x"])
            #expect(read.metadata == ["format": "pt"])
            #expect(try read.tensor("x").values == values.values)
            #expect(try read.tensor("x").shape == [2, 3])
            #expect(try read.tensor("empty").shape == [0, 4])
            #expect(read.info("x")?.type == .float32)
            #expect(throws: InputError.self) { try read.integers("x") }
            #expect(throws: InputError.self) { try read.tensor("y") }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
        }
    }

    @Test func readsWholeNumbers() throws {
        let read = try load(Self.entry("I32", "[2]", "[0, 8]"), [3, 0, 0, 0, 255, 255, 255, 255])
        #expect(try read.integers("x") == [3, -1])
        #expect(throws: InputError.self) { try read.tensor("x") }
    }

    /// All half-precision numbers, against the compiler's own conversion, at an odd address.
    @Test func widensEveryHalf() throws {
        let halves = (0...UInt16.max).map { $0 }
        let data = halves.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        for (dtype, widen) in [
            ("F16", { Float(Float16(bitPattern: $0)) } as (UInt16) -> Float),
            ("BF16", { Float(bitPattern: UInt32($0) << 16) }),
        ] {
            let header = """
                {"x": {"dtype": "\(dtype)", "shape": [65536], "data_offsets": [0, 131072]}}
                """
            let read = try load(header.count % 2 == 0 ? header + " " : header, data)
            for (half, value) in zip(halves, try read.tensor("x").values) {
                let expected = widen(half)
                #expect(
                    value == expected || (value.isNaN && expected.isNaN),
                    "\(dtype) \(half)"
                )
            }
        }
    }

    static let headers = [
        "{}}", "[]", "{\"x\": 1}", "{\"x\": {}}",
        entry("F32", "[1]", "[0, 5]"), entry("F32", "[2]", "[0, 4]"),
        entry("F32", "[1]", "[4, 0]"), entry("F32", "[1]", "[8, 12]"),
        entry("F32", "[-1]", "[0, 4]"), entry("F32", "[0.5]", "[0, 2]"),
        entry("F32", "[1]", "[0]"), entry("F32", "1", "[0, 4]"), entry("F32", "[\"1\"]", "[0, 4]"),
        entry("F32", "[4611686018427387904, 4]", "[0, 0]"),
        entry("F32", "[1e300]", "[0, 4]"),
        entry("F32", "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "[0, 4]"),
        "{\"\(String(repeating: "n", count: 2000))\": "
            + "{\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
            + " \"b\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [3, 7]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]},"
            + " \"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}",
    ]

    @Test(arguments: headers) func refusesHeadersThatContradictThemselves(_ header: String) {
        #expect(throws: InputError.self) {
            _ = try load(header, [UInt8](repeating: 0, count: 8))
        }
    }

    /// Every way in which a file can be cut short.
    @Test func refusesTruncatedFiles() throws {
        let whole = bytes(Self.entry("F32", "[2]", "[0, 8]"), [UInt8](repeating: 0, count: 8))
        _ = try load(whole)
        for count in 0..<whole.count {
            #expect(throws: InputError.self) { _ = try load(Array(whole[..<count])) }
        }
        for length in [UInt64.max, 1 << 63, 1 << 40, 100_000_001] {
            var broken = whole
            for i in 0..<8 { broken[i] = UInt8(truncatingIfNeeded: length >> (8 * UInt64(i))) }
            #expect(throws: InputError.self) { _ = try load(broken) }
        }
    }

    @Test func rejectsPathsThatAreNotFiles() {
        #expect(throws: InputError.self) { _ = try SafeTensors(file: "/") }
        #expect(throws: InputError.self) { _ = try SafeTensors(file: "/no/such/file") }
    }

    @Test func weightsAreCountedAndMeasured() throws {
        try inTemporaryFolder { folder in
            try FileManager.default.createDirectory(
                atPath: "\(folder)/unet",
                withIntermediateDirectories: true
            )
            #expect(throws: InputError.self) {
                _ = try WeightReader(folder: folder, component: "unet")
            }
            try SafeTensors.write(
                [
                    ("a.weight", Tensor(zeros: [2])), ("b.weight", Tensor(zeros: [3])),
                    ("embeddings.position_ids", Tensor(zeros: [1])),
                ],
                to: "\(folder)/unet/diffusion_pytorch_model.safetensors"
            )
            let reader = try WeightReader(folder: folder, component: "unet")
            #expect(reader.has("a.weight") && !reader.has("c.weight"))
            #expect(try reader.tensor("a.weight", [2]).count == 2)
            #expect(throws: InputError.self) { _ = try reader.tensor("b.weight", [2]) }
            #expect(throws: InputError.self) { _ = try reader.tensor("c.weight", [2]) }
            let error = #expect(throws: InputError.self) { try reader.finish() }
            #expect(error?.description.contains("b.weight") == true)
            _ = try reader.tensor("b.weight", [3])
            try reader.finish()
        }
    }

    private static func entry(_ dtype: String, _ shape: String, _ offsets: String) -> String {
        "{\"x\": {\"dtype\": \"\(dtype)\", \"shape\": \(shape), \"data_offsets\": \(offsets)}}"
    }

    private func bytes(_ header: String, _ data: [UInt8]) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
            + Array(header.utf8) + data
    }

    private func load(_ header: String, _ data: [UInt8]) throws -> SafeTensors {
        try load(bytes(header, data))
    }

    private func load(_ bytes: [UInt8]) throws -> SafeTensors {
        try inTemporaryFolder { folder in
            let file = "\(folder)/x.safetensors"
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            return try SafeTensors(file: file)
        }
    }
}

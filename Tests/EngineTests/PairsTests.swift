import Engine
import TestSupport
import Testing

/// bfloat16 products in pairs, on processors that have instructions for them, against float32 products of the same
/// numbers.
@Suite(.enabled(if: Processor.current.hasBFloat16)) struct PairsTests {
    private static func backend(_ precision: Precision, threads: Int = 1) throws -> any Backend {
        try EngineOptions(backend: .onednn, precision: precision, threads: threads).makeBackend()
    }

    /// Runs in both precisions, and with several threads.
    private func compare(
        _ what: String,
        within tolerance: Float,
        _ run: (any Backend) throws -> Tensor
    ) throws {
        let wanted = try run(Self.backend(.f32))
        let found = try run(Self.backend(.bf16))
        let error = rootMeanSquareError(found, wanted)
        #expect(error <= tolerance, "\(what): error \(error)")
        let shared = try run(Self.backend(.bf16, threads: 3))
        #expect(shared.values == found.values, "\(what): other bits with three threads")
    }

    /// Queries, keys, heads, head width: full and partial blocks of keys, multiples of four queries and other numbers,
    /// and head widths other than the one for which weights are computed alongside the products.
    @Test(
        arguments: [
            [96, 256, 2, 64], [64, 600, 1, 64], [100, 512, 1, 64], [97, 300, 2, 64],
            [16, 256, 1, 64], [50, 77, 2, 64], [40, 300, 1, 64], [96, 512, 1, 40],
            [130, 256, 1, 80],
        ]
    )
    func attends(_ size: [Int]) throws {
        let width = size[2] * size[3]
        // The attention weights and the result are rounded.
        try compare("\(size)", within: 4e-3) { backend in
            var noise = Noise(3)
            let q = backend.upload(noise.bfloats([2, size[0], width], scale: 2))
            let k = backend.upload(noise.bfloats([2, size[1], width], scale: 2))
            let v = backend.upload(noise.bfloats([2, size[1], width]))
            return backend.download(
                backend.attention(q.columns, k.columns, v.columns, heads: size[2], causal: false)
            )
        }
    }

    /// A query's result does not depend on the other queries, not even in its last bit: different tiles have different
    /// numbers of them.
    @Test func aQueryStandsAlone() throws {
        let backend = try Self.backend(.bf16)
        var noise = Noise(7)
        let q = noise.bfloats([1, 133, 64], scale: 3)
        let k = backend.upload(noise.bfloats([1, 600, 64], scale: 3))
        let v = backend.upload(noise.bfloats([1, 600, 64]))
        func attend(_ queries: Range<Int>) -> [Float] {
            let some = Tensor(
                Array(q.values[queries.lowerBound * 64..<queries.upperBound * 64]),
                shape: [1, queries.count, 64]
            )
            let found = backend.attention(
                backend.upload(some).columns,
                k.columns,
                v.columns,
                heads: 1,
                causal: false
            )
            return backend.download(found).values
        }
        let all = attend(0..<133)
        for some in [0..<96, 0..<97, 1..<3, 40..<80, 90..<133] {
            let alone = attend(some) == Array(all[some.lowerBound * 64..<some.upperBound * 64])
            #expect(alone, "queries \(some)")
        }
    }

    /// One NaN key affects every query of its head, and nothing else.
    @Test(arguments: [77, 256, 300]) func nanPropagates(keys: Int) throws {
        let backend = try Self.backend(.bf16)
        var noise = Noise(4)
        let q = backend.upload(noise.bfloats([1, 64, 128]))
        var values = noise.bfloats([1, keys, 128]).values
        values[(keys / 2) * 128 + 70] = .nan
        let k = backend.upload(Tensor(values, shape: [1, keys, 128]))
        let v = backend.upload(noise.bfloats([1, keys, 128]))
        let found = backend.download(
            backend.attention(q.columns, k.columns, v.columns, heads: 2, causal: false)
        ).values
        #expect(found.indices.allSatisfy { found[$0].isNaN == ($0 % 128 >= 64) })
    }

    /// Layers wide enough for Winograd convolution.
    @Test func convolves() throws {
        try compare("convolution", within: 8e-3) { backend in
            var noise = Noise(1)
            let weights = try backend.prepareConv(
                weight: noise.bfloats([336, 272, 3, 3], scale: 0.02),
                bias: noise.bfloats([336]),
                stride: 1
            )
            let x = backend.upload(noise.bfloats([2, 7, 9, 272]))
            let residual = backend.upload(noise.bfloats([2, 7, 9, 336]))
            return backend.download(
                backend.conv2d(x, weights, padding: .all(1), residual: residual)
            )
        }
    }

    /// Rows, inputs, outputs: one panel, several panels, and a partial last panel.
    @Test(arguments: [[3, 5, 7], [64, 192, 768], [300, 40, 1300]])
    func gates(_ size: [Int]) throws {
        // Values, gates and the result are rounded.
        try compare("\(size)", within: 5e-3) { backend in
            var noise = Noise(6)
            let x = noise.bfloats([2, size[0], size[1]])
            let weight = noise.bfloats([2 * size[2], size[1]], scale: 0.2)
            let bias = noise.bfloats([2 * size[2]])
            let panels = try backend.prepareGated(inputs: size[1], outputs: size[2]) {
                Parameters(weight, bias: bias)
            }
            return backend.download(backend.gated(backend.upload(x), panels))
        }
    }
}

import Engine
import TestSupport
import Testing

/// Every backend that is tested, with one thread and with three.
private let backends: [EngineOptions] = TestedBackends.all.flatMap { kind in
    [1, 3].map { EngineOptions(backend: kind, precision: .f32, threads: $0) }
}

/// Every operation of a backend against its naive version.
@Suite struct BackendTests {
    struct ConvCase: CustomStringConvertible {
        let shape: [Int]
        let outputs: Int
        let kernel: Int
        let stride: Int
        let padding: Padding
        var description: String { "\(shape) k\(kernel) s\(stride) \(padding)" }
    }

    /// Sizes below, at and above a block of rows; both paddings; single rows and columns.
    static let convolutions = [
        ConvCase(shape: [2, 5, 7, 4], outputs: 6, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [1, 1, 1, 3], outputs: 2, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [2, 16, 16, 8], outputs: 32, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [1, 17, 31, 16], outputs: 5, kernel: 3, stride: 1, padding: .all(1)),
        // Multiples of 16 channels, with partial panels of 64 channels and partial tiles of 4×4 pixels.
        ConvCase(shape: [2, 13, 10, 80], outputs: 144, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [1, 50, 47, 16], outputs: 16, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [1, 1, 3, 32], outputs: 16, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(shape: [1, 9, 12, 64], outputs: 32, kernel: 3, stride: 1, padding: .all(0)),
        ConvCase(
            shape: [1, 6, 8, 16],
            outputs: 48,
            kernel: 3,
            stride: 1,
            padding: Padding(top: 2, left: 0, bottom: 0, right: 1)
        ),
        ConvCase(shape: [2, 9, 6, 8], outputs: 8, kernel: 3, stride: 2, padding: .all(1)),
        ConvCase(shape: [1, 8, 10, 8], outputs: 8, kernel: 3, stride: 2, padding: .bottomRight),
        ConvCase(shape: [1, 7, 9, 8], outputs: 8, kernel: 3, stride: 2, padding: .bottomRight),
        ConvCase(shape: [2, 4, 4, 20], outputs: 7, kernel: 1, stride: 1, padding: .all(0)),
        ConvCase(shape: [1, 3, 40, 65], outputs: 70, kernel: 3, stride: 1, padding: .all(1)),
        ConvCase(
            shape: [2, 19, 6, 8],
            outputs: 16,
            kernel: 2,
            stride: 1,
            padding: Padding(top: 1, left: 1, bottom: 0, right: 0)
        ),
        ConvCase(shape: [1, 33, 9, 20], outputs: 7, kernel: 2, stride: 1, padding: .bottomRight),
    ]

    @Test(arguments: backends, convolutions)
    func convolves(_ options: EngineOptions, _ given: ConvCase) throws {
        let backend = try options.makeBackend()
        var noise = Noise(1)
        let x = noise.tensor(given.shape)
        let weight = noise.tensor([given.outputs, given.shape[3], given.kernel, given.kernel])
        let bias = noise.tensor([given.outputs])
        let expected = Oracle.conv2d(
            x,
            weight,
            bias,
            stride: given.stride,
            padding: given.padding
        )
        let residual = noise.tensor(expected.shape)
        let prepared = try backend.prepareConv(weight: weight, bias: bias, stride: given.stride)
        func run(_ residual: Tensor?) -> Tensor {
            backend.download(
                backend.conv2d(
                    backend.upload(x),
                    prepared,
                    padding: given.padding,
                    residual: residual.map(backend.upload)
                )
            )
        }
        check(run(nil), expected.values, "convolution")
        let both = zip(expected.values, residual.values).map { $0 + Double($1) }
        check(run(residual), both, "convolution and residual")
    }

    @Test(
        arguments: backends,
        [[1, 1, 3, 5], [2, 7, 64, 33], [1, 300, 20, 600], [2, 256, 16, 8], [3, 1, 40, 1100]]
    )
    func multiplies(_ options: EngineOptions, _ size: [Int]) throws {
        let backend = try options.makeBackend()
        let (batch, rows, inputs, outputs) = (size[0], size[1], size[2], size[3])
        var noise = Noise(2)
        let x = noise.tensor([batch, rows, inputs])
        let weight = noise.tensor([outputs, inputs])
        let bias = noise.tensor([outputs])
        let residual = noise.tensor([batch, rows, outputs])
        let plain = Oracle.linear(x, weight, nil)
        check(
            backend.download(
                backend.linear(
                    backend.upload(x),
                    try backend.prepareLinear(weight: weight, bias: nil),
                    then: .identity,
                    with: nil
                )
            ),
            plain,
            "product"
        )
        let extra = residual.values
        let full = Oracle.linear(x, weight, bias).enumerated().map {
            Oracle.apply(.gelu, $1) + Double(extra[$0])
        }
        check(
            backend.download(
                backend.linear(
                    backend.upload(x),
                    try backend.prepareLinear(weight: weight, bias: bias),
                    then: .gelu,
                    with: .plus(backend.upload(residual))
                )
            ),
            full,
            "product, all fused"
        )
        let scaled = Oracle.linear(x, weight, bias).enumerated().map { $1 * Double(extra[$0]) }
        check(
            backend.download(
                backend.linear(
                    backend.upload(x),
                    try backend.prepareLinear(weight: weight, bias: bias),
                    then: .identity,
                    with: .times(backend.upload(residual))
                )
            ),
            scaled,
            "product, times another"
        )
    }

    /// Rows, inputs, outputs: one panel, several panels, and a partial last panel.
    @Test(arguments: backends, [[3, 5, 7], [64, 32, 768], [300, 10, 1300]])
    func gates(_ options: EngineOptions, _ size: [Int]) throws {
        let backend = try options.makeBackend()
        let (rows, inputs, outputs) = (size[0], size[1], size[2])
        var noise = Noise(6)
        let x = noise.tensor([2, rows, inputs])
        let (weight, bias) = (noise.tensor([2 * outputs, inputs]), noise.tensor([2 * outputs]))
        let panels = try backend.prepareGated(inputs: inputs, outputs: outputs) {
            Parameters(weight, bias: bias)
        }
        let both = Oracle.linear(x, weight, bias)
        let expected = (0..<2 * rows).flatMap { row in
            (0..<outputs).map { j in
                let at = row * 2 * outputs + j
                return both[at] * Oracle.apply(.gelu, both[at + outputs])
            }
        }
        check(backend.download(backend.gated(backend.upload(x), panels)), expected, "gated")
    }

    /// With a mean far from zero, a naive variance loses precision.
    @Test(arguments: backends, [Float(0), 30]) func normalises(
        _ options: EngineOptions,
        _ offset: Float
    ) throws {
        // So does PyTorch's own group norm: it sums squares in float32 (channels last, on the processor).
        guard options.backend != .torch || offset == 0 else { return }
        let backend = try options.makeBackend()
        var noise = Noise(4)
        for (shape, groups) in [([2, 3, 5, 8], 4), ([1, 40, 30, 32], 32), ([2, 7, 48], 3)] {
            let channels = shape[shape.count - 1]
            let x = noise.tensor(shape, offset: offset)
            let (scale, shift) = (noise.tensor([channels]), noise.tensor([channels]))
            let weights = backend.prepareNorm(scale: scale, shift: shift)
            let grouped = Oracle.groupNorm(
                x,
                scale: scale,
                shift: shift,
                groups: groups,
                epsilon: 1e-5
            )
            check(
                backend.download(
                    backend.groupNorm(
                        backend.upload(x),
                        weights,
                        groups: groups,
                        epsilon: 1e-5,
                        plus: nil,
                        then: .silu,
                        overwriting: false
                    )
                ),
                grouped.map { Oracle.apply(.silu, $0) },
                "group norm \(shape)",
                within: Tolerance.norm
            )
            let bias = noise.tensor([shape[0], channels], scale: 2)
            let pixels = x.count / channels / shape[0]
            let (plain, added) = (x.values, bias.values)
            let biased = Tensor(
                plain.indices.map {
                    plain[$0] + added[$0 / channels / pixels * channels + $0 % channels]
                },
                shape: shape
            )
            check(
                backend.download(
                    backend.groupNorm(
                        backend.upload(x),
                        weights,
                        groups: groups,
                        epsilon: 1e-5,
                        plus: backend.upload(bias),
                        then: .identity,
                        overwriting: true
                    )
                ),
                Oracle.groupNorm(
                    biased,
                    scale: scale,
                    shift: shift,
                    groups: groups,
                    epsilon: 1e-5
                ),
                "group norm \(shape) of biased channels",
                within: Tolerance.norm
            )
            // A layer norm is a group norm with one group, over each token by itself.
            let tokens = x.reshaped([x.count / channels, 1, channels])
            let layered = Oracle.groupNorm(
                tokens,
                scale: scale,
                shift: shift,
                groups: 1,
                epsilon: 1e-5
            )
            check(
                backend.download(backend.layerNorm(backend.upload(x), weights, epsilon: 1e-5)),
                layered,
                "layer norm \(shape)",
                within: Tolerance.norm
            )
        }
    }

    /// Queries, keys, heads, head width; the last cases need several query blocks.
    @Test(
        arguments: backends,
        [[5, 5, 1, 8], [77, 77, 4, 8], [300, 77, 2, 16], [64, 300, 3, 4], [600, 600, 1, 4]]
    )
    func attends(_ options: EngineOptions, _ size: [Int]) throws {
        let backend = try options.makeBackend()
        let (queries, keys, heads, all) = (size[0], size[1], size[2], size[2] * size[3])
        var noise = Noise(5)
        let q = noise.tensor([2, queries, all], scale: 3)
        let (k, v) = (noise.tensor([2, keys, all], scale: 3), noise.tensor([2, keys, all]))
        // Keys and values side by side, as one matrix product returns them.
        let both = backend.concatChannels(backend.upload(k), backend.upload(v))
        for causal in queries == keys ? [false, true] : [false] {
            let found = backend.attention(
                backend.upload(q).columns,
                both.columns(from: 0, count: all),
                both.columns(from: all, count: all),
                heads: heads,
                causal: causal
            )
            check(
                backend.download(found),
                Oracle.attention(q, k, v, heads: heads, causal: causal),
                "attention \(size)"
            )
        }
    }

    @Test(arguments: backends, [Nonlinearity.silu, .gelu, .quickGelu])
    func activates(_ options: EngineOptions, _ f: Nonlinearity) throws {
        let backend = try options.makeBackend()
        let values = (-4000...4000).map { Float($0) / 100 } + [-1e4, -100, 0, 1e-20, 100, 1e4]
        let x = Tensor(values, shape: [1, values.count])
        let found = backend.download(backend.activate(backend.upload(x), f)).values
        let isTorchGELU = (options.backend, f) == (.torch, .gelu)
        let tolerance = isTorchGELU ? Tolerance.torchGELU : Tolerance.elementary
        for (value, result) in zip(values, found) {
            let expected = Oracle.apply(f, Double(value))
            #expect(
                abs(Double(result) - expected) <= tolerance(value),
                "\(f)(\(value)) = \(result), not \(expected)"
            )
        }
    }

    @Test(arguments: backends) func moves(_ options: EngineOptions) throws {
        let backend = try options.makeBackend()
        let a = Tensor((0..<24).map(Float.init), shape: [2, 2, 2, 3])
        let b = Tensor((0..<8).map { Float(100 + $0) }, shape: [2, 2, 2, 1])
        let (x, y) = (backend.upload(a), backend.upload(b))
        #expect(backend.download(x).values == a.values)
        #expect(backend.download(backend.add(x, x)).values == a.values.map { 2 * $0 })
        let joined = backend.download(backend.concatChannels(x, y))
        #expect(joined.shape == [2, 2, 2, 4])
        #expect(joined.values.prefix(8) == [0, 1, 2, 100, 3, 4, 5, 101])
        let even = backend.download(backend.upsampleNearest(y, height: 4, width: 4))
        #expect(
            even.values.prefix(16) == [
                100, 100, 101, 101, 100, 100, 101, 101, 102, 102, 103, 103, 102, 102, 103, 103,
            ]
        )
        let odd = backend.download(backend.upsampleNearest(y, height: 3, width: 3))
        #expect(odd.values.suffix(9) == [104, 104, 105, 104, 104, 105, 106, 106, 107])
        let quarters = (0..<4).map { q in
            backend.upload(Tensor([0, 4].map { Float($0 + q) }, shape: [1, 1, 2, 1]))
        }
        let whole = backend.download(backend.interleave { quarters[$0] })
        #expect(whole.shape == [1, 2, 4, 1] && whole.values == [0, 1, 4, 5, 2, 3, 6, 7])
        let table = backend.prepareTable(a.reshaped([8, 3]))
        let rows = backend.download(backend.embed([[7, 0]], table))
        #expect(rows.shape == [1, 2, 3] && rows.values == [21, 22, 23, 0, 1, 2])
    }

    private func check(
        _ found: Tensor,
        _ expected: [Double],
        _ name: String,
        within tolerance: Float = Tolerance.kernel,
        at location: SourceLocation = #_sourceLocation
    ) {
        expectClose(
            found.reshaped([found.count]),
            Tensor(expected.map { Float($0) }, shape: [expected.count]),
            within: tolerance,
            name,
            at: location
        )
    }
}

@Suite struct ThreadPoolTests {
    /// Every block runs once, for any number of rounds and threads, and also if there are none.
    @Test(arguments: 1...4) func everyBlockRunsOnce(_ threads: Int) {
        let pool = ThreadPool(threads: threads)
        for count in [0, 1, 2, 3, 7, 100] {
            for _ in 0..<50 {
                var runs = [Int](repeating: 0, count: count)
                runs.withUnsafeMutableBufferPointer { runs in
                    pool.run(count) { block, lane in
                        precondition(lane < threads)
                        runs[block] += 1
                    }
                }
                #expect(runs.allSatisfy { $0 == 1 })
            }
        }
    }

    /// Helpers must not keep their pool alive, or every closed model would leave threads behind.
    @Test func threadsEndWithTheirPool() {
        weak var pool: ThreadPool?
        do {
            let own = ThreadPool(threads: 3)
            own.run(8) { _, _ in }
            pool = own
        }
        #expect(pool == nil)
    }
}

extension Backend {
    /// Prepares a matrix that is already in memory.
    func prepareLinear(weight: Tensor, bias: Tensor?) throws -> LinearWeights {
        try prepareLinear(
            inputs: weight.shape[1],
            outputs: weight.shape[0],
            hasBias: bias != nil
        ) { Parameters(weight, bias: bias) }
    }

    /// Prepares convolution weights that are already in memory.
    func prepareConv(
        weight: Tensor,
        bias: Tensor?,
        stride: Int
    ) throws -> ConvWeights {
        try prepareConv(
            inputs: weight.shape[1],
            outputs: weight.shape[0],
            kernel: weight.shape[2],
            stride: stride
        ) { Parameters(weight, bias: bias) }
    }
}

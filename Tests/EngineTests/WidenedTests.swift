import Engine
import TestSupport
import Testing

/// bfloat16 numbers multiplied as float32: the result is float32's, rounded once.
@Suite(.enabled(if: Processor.current.hasAVX512)) struct WidenedTests {
    private static func options(_ precision: Precision, threads: Int = 1) -> EngineOptions {
        EngineOptions(
            backend: .onednn,
            precision: precision,
            threads: threads,
            multiplication: .widened
        )
    }

    /// Runs in both precisions, and with several threads.
    private func compare(_ what: String, _ run: (any Backend) throws -> Tensor) throws {
        let wanted = try run(Self.options(.f32).makeBackend())
        let found = try run(Self.options(.bf16).makeBackend())
        for (a, b) in zip(found.values, wanted.values) {
            // Half a unit in the last of eight bits, plus float32's own rounding, which may tip it.
            guard abs(a - b) <= abs(b) / 256 + 1e-5 else {
                Issue.record("\(what): \(a), not \(b)")
                return
            }
        }
        let shared = try run(Self.options(.bf16, threads: 3).makeBackend())
        #expect(shared.values == found.values, "\(what): other bits with three threads")
    }

    @Test(arguments: BackendTests.convolutions)
    func convolves(_ given: BackendTests.ConvCase) throws {
        try compare("\(given)") { backend in
            var noise = Noise(1)
            let kernel = [given.outputs, given.shape[3], given.kernel, given.kernel]
            let weights = try backend.prepareConv(
                weight: noise.bfloats(kernel),
                bias: noise.bfloats([given.outputs]),
                stride: given.stride
            )
            let x = backend.upload(noise.bfloats(given.shape))
            let plain = backend.conv2d(x, weights, padding: given.padding, residual: nil)
            let residual = noise.bfloats(plain.shape)
            return backend.download(
                backend.conv2d(
                    x,
                    weights,
                    padding: given.padding,
                    residual: backend.upload(residual)
                )
            )
        }
    }

    /// Sizes with one panel, several panels, and a partial last panel.
    @Test(
        arguments: [
            [1, 1, 3, 5], [2, 7, 64, 33], [1, 300, 20, 600], [3, 1, 40, 1100],
            [1, 70, 2048, 300], [2, 260, 700, 1030],
        ],
        [false, true]
    )
    func multiplies(_ size: [Int], scaled: Bool) throws {
        try compare("\(size)") { backend in
            var noise = Noise(2)
            let weights = try backend.prepareLinear(
                weight: noise.bfloats([size[3], size[2]]) * 0.125,
                bias: noise.bfloats([size[3]])
            )
            let x = backend.upload(noise.bfloats([size[0], size[1], size[2]]))
            let other = backend.upload(noise.bfloats([size[0], size[1], size[3]]))
            return backend.download(
                backend.linear(
                    x,
                    weights,
                    then: scaled ? .identity : .gelu,
                    with: scaled ? .times(other) : .plus(other)
                )
            )
        }
    }

    @Test(arguments: [[1, 1, 1], [2, 100, 77], [1, 97, 600]])
    func attends(_ size: [Int]) throws {
        try compare("\(size)") { backend in
            var noise = Noise(3)
            let q = backend.upload(noise.bfloats([size[0], size[1], 40]))
            let k = backend.upload(noise.bfloats([size[0], size[2], 40]))
            let v = backend.upload(noise.bfloats([size[0], size[2], 40]))
            return backend.download(
                backend.attention(q.columns, k.columns, v.columns, heads: 2, causal: false)
            )
        }
    }
}

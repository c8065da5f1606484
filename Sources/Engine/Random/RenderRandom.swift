import CSodium

/// Random number generators. The raw values are the command line's names.
package enum RandomKind: String, CaseIterable, Sendable {
    /// PyTorch's CPU generator.
    case torch
    /// The generator of PyTorch's CUDA builds.
    case philox
}

/// All random numbers of a render. Every draw is a pure function of (seed, purpose, phase, step).
package struct RenderRandom: Sendable {
    private let kind: RandomKind
    private let seed: UInt64

    package init(_ kind: RandomKind, seed: UInt64) {
        self.kind = kind
        self.seed = seed
    }

    /// Unit normal noise.
    ///
    /// The purpose "base" is the seed's own stream, so that a seed gives the same latents as in other programs; every
    /// other purpose has a stream of its own.
    ///
    /// - Parameters:
    ///   - purpose: what the draw is for
    ///   - phase: key of the phase
    ///   - step: step of the phase
    ///   - shape: `[n, channels, height, width]`, in the order in which the numbers are drawn
    /// - Returns: `[n, height, width, channels]`
    package func normal(purpose: String, phase: Int, step: Int, shape: [Int]) -> Tensor {
        let seed = purpose == "base" ? seed : streamSeed(purpose, phase, step)
        let count = shape.reduce(1, *)
        let values =
            switch kind {
            case .torch: TorchRandom.normal(seed: seed, count: count)
            case .philox: Philox.normal(seed: seed, count: count)
            }
        return Tensor(values, shape: shape).channelsLast()
    }

    /// Uniform integers in a range.
    package func integers(
        purpose: String,
        phase: Int,
        step: Int,
        count: Int,
        in range: ClosedRange<Int>
    ) -> [Int] {
        let key = Philox.keyWords(streamSeed(purpose, phase, step))
        let span = UInt64(range.count)
        // Rejection sampling: draws at or above the largest multiple of the span would favour small values.
        let limit = UInt64.max - UInt64.max % span
        var counter: UInt32 = 0
        return (0..<count).map { _ in
            while true {
                let x = Philox.words(counter: [counter, 0, 0, 0], key: key)
                counter &+= 1
                let draw = UInt64(x[0]) << 32 | UInt64(x[1])
                if draw < limit { return range.lowerBound + Int(draw % span) }
            }
        }
    }

    /// The seed of one draw: 64 bits of the BLAKE2b hash of its name.
    private func streamSeed(_ purpose: String, _ phase: Int, _ step: Int) -> UInt64 {
        let name = Array("\(seed)/\(purpose)/\(phase)/\(step)".utf8)
        var hash = [UInt8](repeating: 0, count: 16)
        crypto_generichash(&hash, hash.count, name, UInt64(name.count), nil, 0)
        return hash.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

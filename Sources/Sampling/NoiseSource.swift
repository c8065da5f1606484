import Engine

/// The source of a render's random numbers.
package protocol NoiseSource: Sendable {
    /// Unit noise for the initial latent of phase 1, `[1, height, width, channels]`.
    func base(latent: Extent, channels: Int) throws(InputError) -> Tensor

    /// Unit noise that diffuses the upsampled latent of a later phase.
    func diffusion(of phase: Phase, channels: Int) throws(InputError) -> Tensor

    /// The randomly shifted windows of one step.
    mutating func windows(
        of grid: WindowGrid,
        phase: Phase,
        step: Int
    ) throws(InputError) -> [Window]

    /// Unit noise that a stochastic sampler adds in one step.
    func stochastic(phase: Phase, step: Int, channels: Int) throws(InputError) -> Tensor

    /// Number of values drawn so far from a sequential source.
    var drawn: Int { get }

    /// Moves a sequential source to the position after `drawn` values.
    mutating func skip(to drawn: Int) throws(InputError)
}

/// Random numbers derived from the seed: each draw is keyed by (seed, purpose, phase, step), so the order of draws does
/// not matter.
package struct SeededNoise: NoiseSource {
    private let random: RenderRandom

    package init(seed: UInt64, kind: RandomKind) {
        random = RenderRandom(kind, seed: seed)
    }

    package func base(latent: Extent, channels: Int) -> Tensor {
        normal("base", latent, channels, phase: 0, step: 0)
    }

    package func diffusion(of phase: Phase, channels: Int) -> Tensor {
        normal("diffusion", phase.latent, channels, phase: key(phase), step: 0)
    }

    package func windows(
        of grid: WindowGrid,
        phase: Phase,
        step: Int
    ) throws(InputError) -> [Window] {
        var draws = random.integers(
            purpose: "jitter",
            phase: key(phase),
            step: step,
            count: grid.drawCount,
            in: 0...(grid.drawSpan - 1)
        ).makeIterator()
        return try grid.windows { range in range.lowerBound + (draws.next() ?? 0) % range.count }
    }

    package func stochastic(phase: Phase, step: Int, channels: Int) -> Tensor {
        normal("step", phase.latent, channels, phase: key(phase), step: step)
    }

    /// Always 0: every value is keyed by its place in the render, so there is no sequence.
    package var drawn: Int { 0 }

    package func skip(to drawn: Int) {}

    private func normal(
        _ purpose: String,
        _ latent: Extent,
        _ channels: Int,
        phase: Int,
        step: Int
    ) -> Tensor {
        random.normal(
            purpose: purpose,
            phase: phase,
            step: step,
            shape: [1, channels, latent.height, latent.width]
        )
    }

    /// A phase is keyed by its scale in thousandths, so that a picture's last phase draws the same noise even if its
    /// ladder skips rungs.
    private func key(_ phase: Phase) -> Int { Int((phase.scale * 1000).rounded()) }
}

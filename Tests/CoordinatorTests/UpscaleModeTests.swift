import Coordinator
import DirectRendering
import Engine
import Sampling
import TestSupport
import Testing

/// A decoder that expands every latent pixel to a block of 8×8 equal pixels, coloured by its first three channels; an
/// encoder that takes each block's mean, and as the fourth channel how much brighter its upper half is. Predictions are
/// the input itself.
private struct Blocks: UnitByUnit {
    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        switch unit.work {
        case .predict: WorkResult(tensor: unit.input)
        case .autoencode(.decoder, _): WorkResult(tensor: Self.decoded(unit.input))
        case .autoencode(.encoder, _): WorkResult(tensor: Self.encoded(unit.input))
        }
    }

    private static func decoded(_ latent: Tensor) -> Tensor {
        let (height, width) = (latent.shape[1], latent.shape[2])
        return Tensor(shape: [1, 8 * height, 8 * width, 3]) { out in
            latent.withFloats { x in
                for i in out.indices {
                    let (pixel, c) = i.quotientAndRemainder(dividingBy: 3)
                    let (row, column) = pixel.quotientAndRemainder(dividingBy: 8 * width)
                    out[i] = x[(row / 8 * width + column / 8) * 4 + c]
                }
            }
        }
    }

    private static func encoded(_ picture: Tensor) -> Tensor {
        let (height, width) = (picture.shape[1], picture.shape[2])
        return Tensor(shape: [1, height / 8, width / 8, 4]) { out in
            picture.withFloats { x in
                out.update(repeating: 0)
                for i in x.indices {
                    let (pixel, c) = i.quotientAndRemainder(dividingBy: 3)
                    let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
                    let to = (row / 8 * (width / 8) + column / 8) * 4
                    out[to + c] += x[i] / 64
                    if c == 0 { out[to + 3] += (row % 8 < 4 ? x[i] : -x[i]) / 32 }
                }
            }
        }
    }
}

/// What a phase of DemoFusion starts from, by upscale mode.
@Suite struct UpscaleModeTests {
    private struct Begun: Error {}

    /// Renders from the end of phase 1 to the beginning of phase 2.
    private func begun(_ mode: UpscaleMode, _ border: Border) throws -> SamplerState {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(.ddim, config: config, steps: 4)
        let plan = try RenderPlan(
            RenderSettings(size: Extent(height: 128, width: 128), steps: 4, scheduler: .ddim) {
                ($0.upscaleMode, $0.border) = (mode, border)
            },
            model: ModelGeometry(
                nativeLatentSide: 8,
                vaeFactor: 8,
                latentChannels: 4,
                usesTimeIDs: false
            ),
            scheduler: scheduler
        )
        #expect((plan.enlargements[1] != nil) == (mode == .image))
        let sampler = Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts())
        var state = SamplerState(
            latent: Tensor(shape: [1, 8, 8, 4]) { out in
                for i in out.indices {
                    let (y, x, c) = (i / 32, i / 4 % 8, i % 4)
                    out[i] = Float((5 * y + 3 * x + 7 * c) % 11) / 11 - 0.5
                }
            }
        )
        let (first, noise) = (state.latent, SeededNoise(seed: 5, kind: .torch))
        state.anchor = first
        try sampler.finish(&state, noise) { _ in nil }
        #expect(state.phase == 1 && state.awaitsEnlargement == (mode == .image))
        var reached = [state]
        let loop = RenderLoop(sampler: sampler, renderer: Blocks()) { event in
            if case .step = event { throw Begun() }
        }
        #expect(throws: Begun.self) {
            var noise = noise
            _ = try loop.sample(noise: &noise, from: state) { state, _ in reached.append(state) }
        }
        let last = try #require(reached.last)
        #expect(!last.awaitsEnlargement && last.anchor?.values == first.values)
        let source = try #require(last.source)
        let drawn = noise.diffusion(of: plan.phases[1].phase, channels: 4)
        #expect(source.noise.values == drawn.values)
        #expect(last.latent.values == scheduler.addNoise(source.upsampled, drawn, at: 0).values)
        return last
    }

    /// Row 5 of channels 0 and 3 of the latent that phase 2 starts from, by NumPy and Pillow:
    ///
    ///     y, x, c = np.ogrid[:8, :8, :4]
    ///     picture = (((5 * y + 3 * x + 7 * c) % 11) / 11 - 0.5)[..., :3].repeat(8, 0).repeat(8, 1)
    ///     large = np.stack([Image.fromarray(np.float32(picture[..., i])).resize((128, 128), Image.LANCZOS)
    ///                       for i in range(3)], -1)
    ///     halves = large.reshape(16, 2, 4, 16, 8, 3).mean((2, 4))
    ///     halves.mean(1)[5, :, 0], (halves[:, 0] - halves[:, 1])[5, :, 0]
    static let row5: [Float] = [
        0.403357, 0.395822, -0.305868, -0.310536, -0.043543, -0.037920, 0.218782, 0.214004,
        -0.487687, -0.492354, -0.225361, -0.219738, 0.036964, 0.042587, 0.309581, 0.312448,
        0.009456, 0.009274, -0.007698, -0.007880, -0.007880, -0.007698, 0.009274, 0.009274,
        -0.007698, -0.007880, -0.007880, -0.007698, 0.009274, 0.009456, 0.009456, 0.009456,
    ]

    @Test(arguments: Border.allCases) func anEnlargedImageIsEncoded(border: Border) throws {
        let upsampled = try #require(try begun(.image, border).source).upsampled
        #expect(upsampled.shape == [1, 16, 16, 4])
        let found = [0, 3].flatMap { c in (0..<16).map { upsampled.values[(5 * 16 + $0) * 4 + c] } }
        for (found, expected) in zip(found, Self.row5) { #expect(abs(found - expected) < 1e-5) }
    }

    /// In the latent mode, the fourth channel is interpolated like the others.
    @Test(arguments: Border.allCases) func anEnlargedLatentIsInterpolated(border: Border) throws {
        let state = try begun(.latent, border)
        let upsampled = try #require(state.source).upsampled
        let first = try #require(state.anchor)
        let expected = Bicubic.resize(first, to: Extent(height: 16, width: 16))
        #expect(upsampled.values == expected.values)
    }
}

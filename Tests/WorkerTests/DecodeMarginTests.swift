import Coordinator
import DirectRendering
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// The default model's decoder draws a frame along the edges of a picture; the margin that the model suggests
/// hides it.
@Suite struct DecodeMarginTests {
    private static let model = "\(Fixtures.packageRoot)/Models/vista"

    /// Collects the rows of a picture.
    private struct Rows: PictureSink {
        var all: [Tensor] = []
        mutating func write(_ rows: Tensor) { all.append(rows) }
    }

    /// The picture that the latent decodes to, `[1, 8 · height, 8 · width, 3]`.
    private func decoded(margin: Int, _ latent: Tensor) throws -> Tensor {
        let model = try Model(path: Self.model)
        let geometry = try model.architecture.geometry()
        let settings = RenderSettings(
            size: Extent(height: 8 * latent.shape[1], width: 8 * latent.shape[2]),
            steps: 2,
            scheduler: .ddim
        ) { $0.decodeMargin = margin }
        let scheduler = try Scheduler(.ddim, config: try model.schedulerConfig(), steps: 2)
        let plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
        let vae = try VAE(
            model: model,
            options: EngineOptions(backend: .openblas, threads: 2),
            halves: [.decoder]
        )
        let empty = Embedding(context: Tensor(zeros: [1, 2, 4]), pooled: Tensor(zeros: [1, 4]))
        let loop = RenderLoop(
            sampler: Sampler(
                plan: plan,
                scheduler: scheduler,
                prompts: Prompts(positive: empty, negative: nil)
            ),
            renderer: DirectRenderer(vae)
        ) { _ in }
        var rows = Rows()
        try loop.decode(latent, to: &rows)
        return Tensor(stacked: rows.all)
    }

    private func latent(_ height: Int, _ width: Int) -> Tensor {
        Tensor(shape: [1, height, width, 4]) { out in
            for i in out.indices {
                let (pixel, channel) = (i / 4, Float(i % 4))
                let (y, x) = (Float(pixel / width), Float(pixel % width))
                let wave = sin(0.35 * x + channel) + cos(0.3 * y - 0.5 * channel)
                out[i] = channel < 3 ? 0.5 * wave + 0.4 : 0.1 * wave
            }
        }
    }

    /// Mean absolute difference between each row and the next, in levels of 255.
    private func rowSteps(_ picture: Tensor) -> [Double] {
        let (height, length) = (picture.shape[1], picture.shape[2] * 3)
        let values = picture.values.map { Double(min(max($0, -1), 1)) * 127.5 }
        return (0..<height - 1).map { row in
            (0..<length).reduce(0) { sum, i in
                sum + abs(values[row * length + i] - values[(row + 1) * length + i])
            } / Double(length)
        }
    }

    private func columnSteps(_ picture: Tensor) -> [Double] {
        let (height, width) = (picture.shape[1], picture.shape[2])
        let values = picture.values
        let turned = Tensor(shape: [1, width, height, 3]) { out in
            for y in 0..<height {
                for x in 0..<width {
                    for c in 0..<3 {
                        out[(x * height + y) * 3 + c] = values[(y * width + x) * 3 + c]
                    }
                }
            }
        }
        return rowSteps(turned)
    }

    /// The largest of the two outermost steps on either side, and the mean of those inside.
    private func strongestEdge(_ steps: [Double]) -> (edge: Double, inside: Double) {
        let inside = steps[8..<steps.count - 8]
        let edge = (steps.prefix(2) + steps.suffix(2)).max() ?? .infinity
        return (edge, inside.reduce(0, +) / Double(inside.count))
    }

    /// Sizes that are decoded whole, and in tiles.
    @Test(arguments: [(24, 32), (72, 80)]) func theMarginHidesTheFrame(size: (Int, Int)) throws {
        let latent = latent(size.0, size.1)
        let (plain, framed) = (try decoded(margin: 0, latent), try decoded(margin: 1, latent))
        #expect(plain.shape == [1, 8 * size.0, 8 * size.1, 3])
        #expect(framed.shape == plain.shape)
        for steps in [rowSteps, columnSteps] {
            let without = strongestEdge(steps(plain))
            #expect(without.edge > 2 * without.inside, "\(without): is there no frame any more?")
            let with = strongestEdge(steps(framed))
            #expect(with.edge <= with.inside, "\(with)")
        }
    }

    @Test func theModelSuggestsIt() throws {
        let defaults = try #require(try ModelDefaults(ofModel: Self.model, geometry: nil))
        #expect(defaults.choices.has(Settings.decodeMargin))
    }
}

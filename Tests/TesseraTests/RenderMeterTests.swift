import Coordinator
import Engine
import Foundation
import Sampling
import Tessera
import TestSupport
import Testing

/// Progress of a render, and the time left.
@Suite struct RenderMeterTests {
    private func plan(
        side: Int,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> RenderPlan {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(.ddim, config: config, steps: 4)
        func network(_ half: AutoencoderHalf) -> TiledNetwork {
            TiledNetwork(
                half: half,
                norms: 4,
                groups: 1,
                attention: nil,
                width: 4,
                halo: 4
            )
        }
        let model = ModelGeometry(
            nativeLatentSide: 8,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: true,
            decoder: network(.decoder),
            encoder: network(.encoder)
        )
        let settings = RenderSettings(
            size: Extent(height: side, width: side),
            steps: 4,
            scheduler: .ddim,
            change
        )
        return try RenderPlan(settings, model: model, scheduler: scheduler)
    }

    private func latent(_ plan: RenderPlan, _ phase: Int) -> Tensor {
        let size = plan.phases[phase].phase.latent
        return Tensor(zeros: [1, size.height, size.width, 4])
    }

    @Test func nothingIsEstimatedBeforeTheFirstView() throws {
        let plan = try plan(side: 128)
        var meter = RenderMeter(plan)
        meter.take(.phase(0, plan.phases[0].phase), at: 5)
        meter.take(.step(0, views: 1), at: 5)
        #expect(meter.isFirst)
        #expect(meter.reading(at: 6).parts == ["phase 1/2", "step 1/4", "view 0/1"])
        meter.take(.view, at: 7)
        #expect(!meter.isFirst)
        let parts = meter.reading(at: 7).parts
        #expect(parts[3] == "0.5 views/s")
        let seconds = PlanTable.duration(2 * Double(plan.views - 1))
        #expect(parts.last == "\(seconds) left, then decoding")
    }

    /// All passes over tiles are one stage, with the time left; where layers are unknown, all passes count the same.
    @Test func decodingIsAStageOfItsOwn() throws {
        let plan = try plan(side: 1088) {
            if let ladder = try? Ladder(scales: [1, 17]) { $0.ladder = .given(ladder) }
        }
        #expect(plan.decode.tiles.count == 4 && plan.decode.passes == 5)
        var meter = RenderMeter(plan)
        meter.take(.resumed(views: plan.views), at: 0)
        meter.take(.decoding(tiles: 4), at: 10)
        var reading = meter.reading(at: 10)
        #expect(reading.share == 0 && reading.parts.first == "decoding", "\(reading)")
        #expect(!reading.parts.contains { $0.contains("left") || $0.contains("step") })
        for pass in 1...4 {
            let start = 6 + 4 * pass
            meter.take(.measuring(tiles: 4), at: Double(start))
            for tile in 1...4 { meter.take(.tile, at: Double(start + tile)) }
            reading = meter.reading(at: Double(start + 4))
            let left = PlanTable.duration(Double(20 - 4 * pass))
            #expect(
                reading.parts == ["decoding", "pass \(pass) of 5", "4/4 tiles", "\(left) left"]
            )
        }
        meter.take(.finalPass(tiles: 4), at: 26)
        meter.take(.tile, at: 27)
        reading = meter.reading(at: 27)
        #expect(reading.parts == ["decoding", "pass 5 of 5", "1/4 tiles", "3.0 s left"])
        #expect(abs(reading.share - 17.0 / 20) < 1e-9)
    }

    /// Refinement decodes after every phase, so the time for the final decode can be estimated and is part of the time
    /// left.
    @Test func theTimeLeftIncludesDecodingWhoseOwnPaceIsKnown() throws {
        let plan = try plan(side: 128) { $0.method = .refine }
        #expect(plan.phases.count == 2 && plan.decode.isWhole)
        var meter = RenderMeter(plan)
        meter.take(.phase(0, plan.phases[0].phase), at: 0)
        for step in 0..<4 {
            meter.take(.step(step, views: 1), at: Double(step))
            meter.take(.view, at: Double(step + 1))
        }
        let first = meter.reading(at: 4).parts.last ?? ""
        #expect(first.hasSuffix("left, then encoding and decoding"), "\(first)")
        meter.take(.finished(0, latent(plan, 0)), at: 4)
        meter.take(.phase(1, plan.phases[1].phase), at: 4)
        meter.take(.enlarging(tiles: 1), at: 4)
        #expect(meter.reading(at: 4).parts == ["enlarging in one piece"])
        // Two seconds for 8 × 8 latent pixels: the picture's 16 × 16 take eight.
        meter.take(.tile, at: 6)
        meter.take(.encoding(tiles: 1), at: 6)
        meter.take(.tile, at: 7)
        meter.take(.step(0, views: plan.phases[1].views(at: 0)), at: 7)
        meter.take(.view, at: 8)
        let seconds = PlanTable.duration(Double(plan.views - 5) + 8)
        #expect(meter.reading(at: 8).parts.last == "\(seconds) left")
        for _ in 5..<plan.views { meter.take(.view, at: 9) }
        meter.take(.finished(1, latent(plan, 1)), at: 9)
        meter.take(.decoding(tiles: 1), at: 9)
        #expect(meter.reading(at: 9).parts == ["decoding in one piece", "8.0 s left"])
    }

    /// The first tiles of a decode take long, since workers load the network, so they say little about the rest.
    @Test func theFirstTilesCountLittle() throws {
        let plan = try plan(side: 1088) {
            $0.method = .refine
            if let ladder = try? Ladder(scales: [1, 17]) { $0.ladder = .given(ladder) }
        }
        #expect(plan.decode.tiles.count == 4 && plan.decode.passes == 5)
        var meter = RenderMeter(plan)
        meter.take(.resumed(views: plan.views), at: 0)
        meter.take(.decoding(tiles: 4), at: 0)
        meter.take(.measuring(tiles: 4), at: 0)
        meter.take(.tile, at: 100)
        #expect(meter.reading(at: 100).parts == ["decoding", "pass 1 of 5", "1/4 tiles"])

        meter = RenderMeter(plan)
        meter.take(.phase(0, plan.phases[0].phase), at: 0)
        meter.take(.step(0, views: 1), at: 0)
        for _ in 0..<plan.views { meter.take(.view, at: 1) }
        // Two seconds for 8 × 8 latent pixels.
        meter.take(.enlarging(tiles: 1), at: 1)
        meter.take(.tile, at: 3)
        meter.take(.phase(1, plan.phases[1].phase), at: 3)
        meter.take(.decoding(tiles: 4), at: 3)
        meter.take(.measuring(tiles: 4), at: 3)
        meter.take(.tile, at: 103)
        // One of four tiles in one of five passes: a twentieth, with a weight of one tenth.
        let last = 2.0 / 64 * Double(plan.decode.latent.area) * plan.decode.evaluations
        let left = 0.95 * pow(last, 0.9) * pow(20 * 100, 0.1)
        #expect(meter.reading(at: 103).parts.last == "\(PlanTable.duration(left)) left")
    }
}

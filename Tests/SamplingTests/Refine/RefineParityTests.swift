import Engine
import Sampling
import TestSupport
import Testing

/// The parts of a refinement stage, against the oracle's.
@Suite struct RefineParityTests {
    /// Runs whose first step was recorded part by part.
    static let traced = Fixtures.refinements.flatMap { fixture in
        fixture.runs.filter { run in
            (try? fixture.tensors().info("\(run.name).trace.clean")) != nil
        }.map { (fixture, $0) }
    }

    @Test func thereAreTraces() { #expect(!Self.traced.isEmpty) }

    @Test(arguments: traced) func theInversionMatchesTheReference(
        fixture: RefineFixture,
        run: RefineFixture.Run
    ) throws {
        let file = try fixture.tensors()
        func tensor(_ name: String) throws -> Tensor {
            try file.tensor("\(run.name).trace.\(name)").channelsLast()
        }
        func expect(_ found: Tensor, _ name: String) throws {
            expectClose(found, try tensor(name), within: Tolerance.parity, "\(run) \(name)")
        }
        let (plan, stage) = try stage(of: fixture, run)
        let grid = try #require(plan.phases[1].windows)
        var jitter = try file.integers("\(run.name).jitter")[...]
        let windows = try grid.windows { _ throws(InputError) in jitter.popFirst() ?? 0 }
        #expect(
            windows.flatMap { [$0.top, $0.left] }
                == (try file.integers("\(run.name).trace.windows"))
        )

        let predictions = try file.tensor("\(run.name).trace.predictions").channelsLast()
        var average = WindowAverage(latent: grid.latent, channels: 4, weight: .gaussian)
        for (window, prediction) in zip(windows, predictions.rows) {
            average.add(prediction, at: window)
        }
        try expect(average.mean(), "fused")

        let (clean, output) = (try tensor("clean"), try tensor("fused"))
        try expect(stage.schedule.noise(output, in: clean), "noise_seen")
        let noise = try file.tensor("phase_noise.\(run.scales[1])").channelsLast()
        try expect(Sphere.mix(try tensor("noise_seen"), noise, share: run.noise), "mixed")
        try expect(stage.inverted(clean, output: output, noise: noise), "inverted")
    }

    private func stage(
        of fixture: RefineFixture,
        _ run: RefineFixture.Run
    ) throws -> (RenderPlan, RefineStage) {
        let folder = fixture.checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let kind = try #require(SchedulerKind(rawValue: run.scheduler))
        let factor = try VAEConfig(file: "\(folder)/vae/config.json").factor
        let plan = try RenderPlan(
            RenderSettings(
                size: Extent(height: run.height * factor, width: run.width * factor),
                steps: fixture.steps,
                scheduler: kind
            ) {
                ($0.stride, $0.windowWeight) = (.every(run.stride), .gaussian)
                $0.guidance = Float(fixture.guidance)
                $0.refinement = RefineSettings(
                    from: run.start,
                    steps: run.steps,
                    noise: run.noise,
                    guidance: Float(run.guidance)
                )
            },
            model: ModelGeometry(
                nativeLatentSide: try UNetConfig(file: "\(folder)/unet/config.json").sampleSize,
                vaeFactor: factor,
                latentChannels: 4,
                usesTimeIDs: false
            ),
            scheduler: try Scheduler(kind, config: config, steps: fixture.steps)
        )
        return (plan, try #require(plan.phases[1].refinement))
    }
}

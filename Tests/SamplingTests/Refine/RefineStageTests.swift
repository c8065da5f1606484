import Engine
import Sampling
import TestSupport
import Testing

@Suite struct RefineStageTests {
    private func scheduler(
        _ kind: SchedulerKind,
        _ choice: ScheduleChoice = ScheduleChoice()
    ) throws -> Scheduler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        return try Scheduler(kind, config: config, steps: 4, choice: choice)
    }

    /// Few-step models use the timesteps that they were distilled on: for Turbo, Lightning and Hyper-SD, 249 is the
    /// last of four trailing timesteps; for LCM, 259 is the last of four.
    @Test(arguments: [
        (SchedulerKind.ddim, 1, [249]), (.ddim, 2, [249, 124]), (.euler, 2, [249, 124]),
        (.eulerAncestral, 1, [249]), (.dpmSolver, 4, [249, 187, 124, 61]),
        (.lcm, 1, [259]), (.lcm, 2, [259, 139]),
    ])
    func timestepsAreTheEndOfTheSchedule(
        kind: SchedulerKind,
        steps: Int,
        expected: [Float]
    ) throws {
        let stage = try RefineStage(RefineSettings(steps: steps), scheduler: try scheduler(kind))
        #expect(stage.count == 1 + steps)
        #expect((0..<stage.count).map(stage.timestep(at:)) == [0] + expected)
        #expect(stage.guidance(at: 0) == 1)
    }

    @Test func uniformTimestepsNeedNotBeWhole() throws {
        let stage = try RefineStage(
            RefineSettings(steps: 2),
            scheduler: try scheduler(.euler, ScheduleChoice(isSGMUniform: true))
        )
        #expect((0..<stage.count).map(stage.timestep(at:)) == [0, 249.75, 124.875])
    }

    @Test func moreStepsThanTimestepsAreRefused() throws {
        for (kind, from, steps) in [(SchedulerKind.ddim, 0.002, 5), (.lcm, 0.04, 3)] {
            let error = #expect(throws: InputError.self) {
                try RefineStage(
                    RefineSettings(from: from, steps: steps),
                    scheduler: try scheduler(kind)
                )
            }
            #expect(error?.place == "--refine-steps")
        }
    }

    /// A step from a latent whose noise is known gives back the clean one.
    @Test(arguments: SchedulerKind.allCases) func theLastStepEndsInTheEstimate(
        kind: SchedulerKind
    ) throws {
        let schedule = try scheduler(kind).ending(share: 0.3, steps: 1)
        let random = RenderRandom(.torch, seed: 1)
        func draw(_ step: Int) -> Tensor {
            random.normal(purpose: "test", phase: 0, step: step, shape: [1, 4, 5, 6])
        }
        let (clean, noise) = (draw(0), draw(1))
        var history = Scheduler.History()
        let found = schedule.step(
            noise,
            at: 0,
            from: schedule.addNoise(clean, noise, at: 0),
            history: &history,
            noise: draw(2)
        )
        // DEIS and TCD end at the lowest trained level, as Diffusers' do: β₀ = 0.00085.
        let beta = [.deis, .tcd].contains(kind) ? Float(0.00085) : 0
        let expected = clean.zip(noise) { (1 - beta).squareRoot() * $0 + beta.squareRoot() * $1 }
        // An LCM's own boundary condition keeps a ten-millionth of the noisy latent.
        expectClose(found, expected, within: 1e-5, "\(kind)")
    }

    @Test func slerpPreservesTheNorm() {
        let random = RenderRandom(.torch, seed: 3)
        let (a, b) = (
            random.normal(purpose: "a", phase: 0, step: 0, shape: [1, 4, 8, 8]),
            random.normal(purpose: "b", phase: 0, step: 0, shape: [1, 4, 8, 8])
        )
        expectClose(Sphere.mix(a, b, share: 0), a, within: 1e-6, "all a")
        expectClose(Sphere.mix(a, b, share: 1), b, within: 1e-6, "all b")
        func length(_ x: Tensor) -> Double {
            x.values.reduce(0) { $0 + Double($1 * $1) }.squareRoot()
        }
        // Every mixture of two vectors of equal length has that length, too.
        let scaled = b * Float(length(a) / length(b))
        for share in [0.1, 0.5, 0.8] {
            #expect(abs(length(Sphere.mix(a, scaled, share: share)) / length(a) - 1) < 1e-5)
        }
        expectClose(Sphere.mix(a, a, share: 0.4), a, within: 1e-3, "itself")
    }

    @Test(arguments: [
        (1024, 1024, 256, [1, 2, 4]), (4096, 4096, 256, [1, 2, 4, 8, 16]), (256, 256, 256, [1]),
        (384, 256, 256, [1, 1.5]), (512, 512, 256, [1, 2]), (2048, 1024, 1024, [1, 2]),
    ])
    func stagesDoubleAtMost(width: Int, height: Int, native: Int, expected: [Double]) {
        let target = Extent(height: height, width: width)
        #expect(Ladder(steadilyTo: target, nativeSide: native).scales == expected)
    }

    @Test func stagesThatAreNotWholeHaveOneRatio() {
        let ladder = Ladder(steadilyTo: Extent(height: 640, width: 1000), nativeSide: 256)
        let ratios = zip(ladder.scales, ladder.scales.dropFirst()).map { $1 / $0 }
        #expect(ladder.scales.last == 1000.0 / 256 && ratios.count == 2)
        #expect(abs(ratios[0] - ratios[1]) < 1e-12 && ratios[0] <= Ladder.largestStep)
    }
}

import Engine
import Sampling
import TestSupport
import Testing

/// Every intermediate tensor that the oracle recorded in its runs, computed from the one before it.
@Suite struct TraceTests {
    /// One phase after the first of one recorded run.
    struct Traced: Sendable, CustomStringConvertible {
        let network: NetworkFixture
        let run: RunFixture
        let phase: Int

        var description: String { "\(network) \(run) phase \(phase + 1)" }
    }

    static let phases = Fixtures.networks.flatMap { network in
        network.runs.flatMap { run in
            run.scales.indices.dropFirst().map { Traced(network: network, run: run, phase: $0) }
        }
    }

    @Test func thereArePhases() { #expect(!Self.phases.isEmpty) }

    @Test(arguments: phases) func everyPartOfAPhaseMatchesTheReference(traced: Traced) throws {
        let (run, phase) = (traced.run, traced.phase)
        let file = try traced.network.tensors()
        func tensor(_ name: String) throws -> Tensor {
            try file.tensor("\(run.name).\(name)").channelsLast()
        }
        func expect(_ found: Tensor, _ name: String) throws {
            expectClose(found, try tensor(name), within: Tolerance.parity, "\(traced) \(name)")
        }
        let plan = try plan(of: traced)
        let (scheduler, steps) = (try scheduler(of: traced), run.steps)
        let prefix = "phase\(run.scales[phase])"
        let planned = plan.phases[phase]
        let grid = try #require(planned.windows)
        let lattices = try #require(planned.lattices)

        let before = try tensor("final.\(phase - 1)")
        try expect(Bicubic.resize(before, to: planned.phase.latent), "\(prefix).upsampled")
        let source = try tensor("\(prefix).upsampled")
        let noise = try tensor("phase_noise.\(run.scales[phase])")
        let first = scheduler.addNoise(source, noise, at: 0)
        try expect(
            Fusion.blend(first, first, share: planned.weights[0].skip),
            "\(prefix).step0.skip_residual"
        )

        for step in [0, steps - 1] {
            let (place, weights) = ("\(prefix).step\(step)", planned.weights[step])
            let mixed = try tensor("\(place).skip_residual")
            let blurred = GaussianBlur.renormalised(
                lattices.pad(mixed),
                dilation: planned.phase.dilation,
                sigma: weights.blurSigma,
                border: .zeros
            )
            try expect(blurred, "\(place).blurred")
            let fused = Fusion.blend(
                try tensor("\(place).local"),
                try tensor("\(place).dilated"),
                share: weights.dilated
            )
            try expect(fused, "\(place).latent")

            var jitter = try jitter(of: traced, before: step, plan: plan)
            let windows = try grid.windows { _ throws(InputError) in jitter.popFirst() ?? 0 }
            let edges = windows.flatMap { window in
                [
                    window.top, window.top + window.height,
                    window.left, window.left + window.width,
                ].map { $0 + grid.reach }
            }
            #expect(try file.integers("\(run.name).\(place).windows") == edges, "\(traced)")
        }

        let last = try tensor("\(prefix).step\(steps - 1).latent")
        try expect(Fusion.anchor(last, to: try tensor("final.0")), "final.\(phase)")
    }

    @Test(arguments: phases.filter { $0.phase == 1 }) func phaseOneMatchesTheReference(
        traced: Traced
    ) throws {
        let (scheduler, name) = (try scheduler(of: traced), traced.run.name)
        let file = try traced.network.tensors()
        var history = Scheduler.History()
        let start = try file.tensor("\(name).base_noise").channelsLast()
        let stepped = scheduler.step(
            try file.tensor("\(name).phase1.step0.eps").channelsLast(),
            at: 0,
            from: start * scheduler.initNoiseSigma,
            history: &history,
            noise: nil
        )
        expectClose(
            stepped,
            try file.tensor("\(name).phase1.step0.latent").channelsLast(),
            within: Tolerance.parity,
            "\(traced)"
        )
    }

    /// The recorded shifts that remain when `step` of the phase begins.
    private func jitter(
        of traced: Traced,
        before step: Int,
        plan: RenderPlan
    ) throws -> ArraySlice<Int> {
        let drawn = plan.phases[1..<traced.phase].reduce(0) {
            $0 + ($1.windows?.drawCount ?? 0) * traced.run.steps
        }
        let here = (plan.phases[traced.phase].windows?.drawCount ?? 0) * step
        return try traced.network.tensors().integers("\(traced.run.name).jitter")
            .dropFirst(drawn + here)
    }

    private func scheduler(of traced: Traced) throws -> Scheduler {
        let folder = traced.network.checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        return try Scheduler(config.defaultKind, config: config, steps: traced.run.steps)
    }

    private func plan(of traced: Traced) throws -> RenderPlan {
        let (run, folder) = (traced.run, traced.network.checkpoint)
        let side = try UNetConfig(file: "\(folder)/unet/config.json").sampleSize
        let factor = try VAEConfig(file: "\(folder)/vae/config.json").factor
        let scheduler = try scheduler(of: traced)
        let ladder = try Ladder(scales: run.scales.map(Double.init))
        return try RenderPlan(
            RenderSettings(
                size: Extent(height: run.height * factor, width: run.width * factor),
                steps: run.steps,
                scheduler: scheduler.kind
            ) {
                $0.guidance = Float(run.guidance)
                $0.stride = .every(run.stride)
                $0.cosine = CosineSchedule(exponents: run.cosine, sigma: run.sigma)
                $0.ladder = .given(ladder)
                $0.border = .zeros
            },
            model: ModelGeometry(
                nativeLatentSide: side,
                vaeFactor: factor,
                latentChannels: 4,
                usesTimeIDs: false
            ),
            scheduler: scheduler
        )
    }
}

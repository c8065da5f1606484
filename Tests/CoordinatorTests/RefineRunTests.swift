import Coordinator
import Engine
import Sampling
import TestSupport
import Testing

/// Every stage of refinement in this process, from the recorded phase 1 on, against the oracle: samplers of every form,
/// and the schedules of few-step models.
@Suite struct RefineRunTests {
    static let runs = Fixtures.refinements.flatMap { fixture in fixture.runs.map { (fixture, $0) } }

    /// One sampler for each form of update: deterministic, multistep, ancestral, and few-step. The other samplers are
    /// compared with Diffusers step by step in `SamplerTests`.
    @Test func thereAreRunsOfEveryForm() {
        let forms: [SchedulerKind] = [.ddim, .euler, .eulerAncestral, .dpmSolver, .lcm]
        #expect(Set(Self.runs.map(\.1.scheduler)) == Set(forms.map(\.rawValue) + ["sgm_uniform"]))
    }

    @Test(arguments: runs) func refinesLikeTheReference(
        fixture: RefineFixture,
        run: RefineFixture.Run
    ) throws {
        let isUniform = run.scheduler == "sgm_uniform"
        let kind = try #require(isUniform ? .euler : SchedulerKind(rawValue: run.scheduler))
        let expected = try fixture.tensors()
        let session = try RenderSession(try options(fixture, run, kind, isUniform))
        let scheduler = try Scheduler(
            kind,
            config: try session.model.schedulerConfig(),
            steps: fixture.steps,
            choice: ScheduleChoice(isSGMUniform: isUniform)
        )
        let engine = EngineOptions(threads: 1)
        let sampler = Sampler(
            plan: session.plan,
            scheduler: scheduler,
            prompts: try session.encodedPrompts(engine)
        )
        let loop = RenderLoop(
            sampler: sampler,
            renderer: LocalRenderer(
                Evaluator(
                    LoadedNetworks(
                        session.model,
                        identity: ModelIdentity(digest: "", path: fixture.checkpoint),
                        options: engine
                    )
                )
            )
        ) { event in
            // One stage at a time: the next one begins with the recorded latent.
            if case .finished(_, let latent) = event { throw Finished(latent: latent) }
        }
        var noise = try inTemporaryFolder { folder in
            let names = expected.names.filter { $0.hasPrefix("phase_noise.") }
            try expected.copy(
                names.map { ($0, $0) } + [("\(run.name).jitter", "jitter")],
                to: "\(folder)/in.safetensors"
            )
            return try RecordedNoise(
                file: "\(folder)/in.safetensors",
                seeded: SeededNoise(seed: 0, kind: .torch)
            )
        }
        let own = expected.info("\(run.name).final.0") != nil
        for stage in 1..<run.scales.count {
            let before = "\(own ? run.name : "square").final.\(stage - 1)"
            var state = SamplerState(latent: try expected.tensor(before).channelsLast())
            (state.phase, state.awaitsEnlargement) = (stage, true)
            let finished = #expect(throws: Finished.self) {
                try loop.sample(noise: &noise, from: state)
            }
            expectClose(
                try #require(finished).latent.channelsFirst(),
                try expected.tensor("\(run.name).final.\(stage)"),
                within: Tolerance.parity,
                "\(fixture) \(run) stage \(stage)"
            )
        }
    }

    /// Thrown when a stage is finished.
    private struct Finished: Error { let latent: Tensor }

    private func options(
        _ fixture: RefineFixture,
        _ run: RefineFixture.Run,
        _ kind: SchedulerKind,
        _ isUniform: Bool
    ) throws -> PictureOptions {
        let factor = try VAEConfig(file: "\(fixture.checkpoint)/vae/config.json").factor
        var settings = SettingChoices()
        let size = Extent(height: run.height * factor, width: run.width * factor)
        settings.set(Settings.size, to: size)
        settings.set(Settings.steps, to: fixture.steps)
        settings.set(Settings.guidance, to: Float(fixture.guidance))
        settings.set(Settings.scheduler, to: kind)
        settings.set(Settings.sgmUniform, to: isUniform)
        settings.set(Settings.stride, to: .every(run.stride))
        settings.set(Settings.ladder, to: .given(try Ladder(scales: run.scales.map(Double.init))))
        settings.set(Settings.method, to: .refine)
        settings.set(Settings.refineFrom, to: run.start)
        settings.set(Settings.refineSteps, to: run.steps)
        settings.set(Settings.refineNoise, to: run.noise)
        settings.set(Settings.refineGuidance, to: Float(run.guidance))
        return PictureOptions(
            prompt: fixture.prompt,
            negativePrompt: fixture.negative,
            model: fixture.checkpoint,
            settings: settings
        )
    }
}

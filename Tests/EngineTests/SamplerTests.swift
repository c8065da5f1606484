import Engine
import Foundation
import TestSupport
import Testing

/// Every sampler and every spacing of noise levels against Diffusers and k-diffusion. The runs were written by
/// `Training/reference/make_sampler_fixtures.py`.
@Suite struct SamplerTests {
    struct Run: Sendable, CustomStringConvertible {
        let fields: [String: JSON]

        var description: String {
            let config = fields["config"]?.object ?? [:]
            let options = config.filter { !Self.common.contains($0.key) }
            return "\(fields["scheduler"]?.string ?? "") \(steps) "
                + options.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
                + (sigmas.map { " \($0.rawValue)" } ?? "")
        }
        static let common = [
            "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "steps_offset",
        ]
        var steps: Int { fields["steps"]?.integer ?? 0 }
        var sigmas: LevelSpacing? {
            fields["choice"]?.object?["sigmas"]?.string.flatMap(LevelSpacing.init(rawValue:))
        }

        func rows(_ key: String) -> [[Float]] { (fields[key]?.array ?? []).map(Self.floats) }

        static func floats(_ json: JSON) -> [Float] {
            (json.array ?? []).compactMap { $0.number.map { Float($0) } }
        }

        func scheduler() throws -> Scheduler {
            let config = try #require(fields["config"])
            var reader = try ConfigReader(config, place: "run")
            let parsed = try SchedulerConfig(&reader)
            let kind = fields["scheduler"]?.string.flatMap(SchedulerKind.init(rawValue:))
            return try Scheduler(
                kind ?? parsed.defaultKind,
                config: parsed,
                steps: steps,
                choice: ScheduleChoice(levels: sigmas)
            )
        }
    }

    static let runs: [Run] = {
        let path = "\(SingleFileLayout.ownFixtures)/samplers.json"
        let data = FileManager.default.contents(atPath: path) ?? Data()
        let json = try? JSON(Array(data), place: path)
        return (json?.object?["runs"]?.array ?? []).compactMap { $0.object.map(Run.init) }
    }()

    @Test func thereAreRuns() { #expect(Self.runs.count > 190) }

    @Test(arguments: runs) func asTheReference(_ run: Run) throws {
        let scheduler = try run.scheduler()
        let timesteps = Run.floats(try #require(run.fields["timesteps"]))
        try #require(scheduler.timesteps.count == timesteps.count)
        let areWhole = timesteps.allSatisfy { $0 == $0.rounded() }
        for (found, expected) in zip(scheduler.timesteps, timesteps) {
            // Whole timesteps may be off by one rounding; timesteps computed from levels are less exact, because the
            // levels are float32.
            let slack = areWhole ? expected.ulp : Float(2e-3)
            #expect(abs(found - expected) <= slack, "timestep \(found) for \(expected)")
        }
        let start = Float(try #require(run.fields["init_noise_sigma"]?.number))
        #expect(abs(scheduler.initNoiseSigma - start) < 1e-5 * start)
        let (outputs, noise, latents) = (
            run.rows("outputs"), run.rows("noise"), run.rows("latents")
        )
        let first = Run.floats(try #require(run.fields["start"]))
        var x = Tensor(first, shape: [first.count]) * scheduler.initNoiseSigma
        var history = Scheduler.History()
        for i in scheduler.timesteps.indices {
            x = scheduler.step(
                Tensor(outputs[i], shape: x.shape),
                at: i,
                from: x,
                history: &history,
                noise: scheduler.drawsNoise ? Tensor(noise[i], shape: x.shape) : nil
            )
            expectClose(
                x,
                Tensor(latents[i], shape: x.shape),
                within: Tolerance.parity,
                "latent \(i)"
            )
        }
    }

    /// Align Your Steps uses the levels for the model's family.
    @Test(arguments: [nil, ModelFamily.sd1, .sd2, .sdxl])
    func alignYourStepsIsOfTheFamily(_ family: ModelFamily?) throws {
        let wanted: LevelSpacing = family == .sdxl ? .alignYourStepsXL : .alignYourSteps
        let other: LevelSpacing = family == .sdxl ? .alignYourSteps : .alignYourStepsXL
        for run in Self.runs
        where run.sigmas == wanted && run.fields["scheduler"] == .string("euler") {
            var reader = try ConfigReader(try #require(run.fields["config"]), place: "run")
            var config = try SchedulerConfig(&reader)
            config.family = family
            let scheduler = try Scheduler(
                .euler,
                config: config,
                steps: run.steps,
                choice: ScheduleChoice(levels: .alignYourSteps)
            )
            let named = try Scheduler(
                .euler,
                config: config,
                steps: run.steps,
                choice: ScheduleChoice(levels: other)
            )
            for (found, expected) in zip(
                scheduler.timesteps,
                Run.floats(try #require(run.fields["timesteps"]))
            ) { #expect(abs(found - expected) <= 2e-3) }
            #expect((named.sigmas == scheduler.sigmas) == (other == .alignYourSteps))
        }
        let model = family == .sdxl ? "sdxl-tiny" : family == .sd2 ? "sd21-tiny" : "sd15-tiny"
        let opened = try Model(path: "\(SingleFileLayout.ownFixtures)/\(model)")
        #expect(try opened.schedulerConfig().family == family ?? .sd1)
    }

    /// The spacing in a model's file does not apply to a sampler whose class in Diffusers does not read it.
    @Test func aFilesSpacingIsOfItsSampler() throws {
        func levels(_ kind: SchedulerKind, _ fields: [String: JSON]) throws -> [Float] {
            var reader = try ConfigReader(.object(fields), place: "config")
            let config = try SchedulerConfig(&reader)
            return try Scheduler(kind, config: config, steps: 4).timesteps
        }
        let plain: [String: JSON] = ["_class_name": .string("EulerDiscreteScheduler")]
        let karras = plain.merging(["use_karras_sigmas": .bool(true)]) { $1 }
        #expect(try levels(.euler, karras) != levels(.euler, plain))
        for kind in [SchedulerKind.eulerAncestral, .ddim, .ddpm, .lcm] {
            #expect(try levels(kind, karras) == levels(kind, plain), "\(kind)")
        }
    }

    /// A run may begin at any whole step, as with --strength: multistep samplers use lower orders until they have
    /// enough history.
    @Test(arguments: SchedulerKind.allCases) func beginsAtAnyStep(_ kind: SchedulerKind) throws {
        var reader = try ConfigReader(
            .object(["beta_schedule": .string("scaled_linear"), "beta_end": .number(0.012)]),
            place: "config"
        )
        let scheduler = try Scheduler(kind, config: try SchedulerConfig(&reader), steps: 6)
        #expect(scheduler.starts.count == 6)
        for first in scheduler.starts {
            var history = Scheduler.History()
            var x = Tensor([0.5, -1, 2], shape: [3])
            for i in first..<scheduler.timesteps.count {
                let z = Tensor([0.1, 0.2, -0.3], shape: [3])
                x = scheduler.step(x * 0.1, at: i, from: x, history: &history, noise: z)
            }
            let isFinite = x.values.allSatisfy { $0.isFinite }
            #expect(isFinite, "from \(first)")
        }
    }

    @Test(arguments: [
        ("dpmpp_2m_sde", SchedulerKind.dpmSolverSDE, LevelSpacing?.none),
        ("DPM++ 2M SDE Karras", .dpmSolverSDE, .karras),
        ("dpmpp_2m_sde_gpu", .dpmSolverSDE, nil),
        ("dpmpp_3m_sde_exponential", .dpmSolver3SDE, .exponential),
        ("DPM++ SDE", .dpmSDE, nil), ("dpmpp_sde_gpu", .dpmSDE, nil),
        ("Euler a", .eulerAncestral, nil),
        ("euler_ancestral", .eulerAncestral, nil), ("sample_heun", .heun, nil),
        ("k_dpm_2_a", .dpm2Ancestral, nil), ("DPM2 a Karras", .dpm2Ancestral, .karras),
        ("uni_pc_bh2", .uniPC, nil), ("UniPCMultistepScheduler", .uniPC, nil), ("PLMS", .pndm, nil),
        ("KDPM2AncestralDiscreteScheduler", .dpm2Ancestral, nil),
        ("dpmpp_2m_sgm_uniform", .dpmSolver, .sgmUniform), ("LMS Karras", .lms, .karras),
        ("ddim", .ddim, nil), ("euler_beta", .euler, .beta),
        ("DPM++ 2M SDE Align Your Steps", .dpmSolverSDE, .alignYourSteps),
    ])
    func understandsNames(name: String, kind: SchedulerKind, levels: LevelSpacing?) throws {
        let found = try #require(SamplerName(name))
        #expect(found.kind == kind)
        #expect(found.levels == levels)
    }

    @Test(arguments: SchedulerKind.allCases) func understandsItsOwnNames(_ kind: SchedulerKind) {
        #expect(SamplerName(kind.rawValue)?.kind == kind)
        #expect(SamplerName(kind.label)?.kind == kind)
        #expect(SamplerName(kind.rawValue)?.levels == nil)
    }

    @Test(arguments: ["", "karras", "res_multistep", "dpmpp_9m"]) func refusesOthers(_ name: String)
    {
        #expect(SamplerName(name) == nil)
    }

    @Test func knowsWhichFilesItLacks() throws {
        var reader = try ConfigReader(
            .object(["_class_name": .string("SASolverScheduler"), "tau_func": .number(1)]),
            place: "config"
        )
        let config = try SchedulerConfig(&reader)
        #expect("\(try #require(config.refusal))".contains("SASolverScheduler"))
        #expect(try Scheduler(.uniPC, config: config, steps: 4).timesteps.count == 4)
    }
}

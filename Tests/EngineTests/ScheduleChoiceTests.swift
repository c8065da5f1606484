import Engine
import Foundation
import TestSupport
import Testing

/// Timesteps chosen by flags, against Diffusers and k-diffusion's formula. The runs were written by
/// `Training/reference/make_schedule_fixtures.py`.
@Suite struct ScheduleChoiceTests {
    struct Run: Sendable, CustomStringConvertible {
        let fields: [String: JSON]

        var description: String {
            "\(fields["scheduler"]?.string ?? "") \(steps) \(fields["choice"].map { "\($0)" } ?? "")"
        }
        var steps: Int { fields["steps"]?.integer ?? 0 }

        func floats(_ key: String) -> [Float] { Self.floats(fields[key]) }

        static func floats(_ json: JSON?) -> [Float] {
            (json?.array ?? []).compactMap { $0.number.map { Float($0) } }
        }

        /// The run's scheduler, made from the model's plain configuration and flags.
        func scheduler() throws -> Scheduler {
            var config = try #require(fields["config"]?.object)
            for key in ["timestep_spacing", "final_sigmas_type", "set_alpha_to_one"] {
                config[key] = nil
            }
            config["_class_name"] = fields["scheduler"]
            var reader = try ConfigReader(.object(config), place: "run")
            let parsed = try SchedulerConfig(&reader)
            let choice = fields["choice"]?.object ?? [:]
            return try Scheduler(
                parsed.defaultKind,
                config: parsed,
                steps: steps,
                choice: ScheduleChoice(
                    spacing: choice["spacing"]?.string.flatMap(TimestepSpacing.init(rawValue:)),
                    finalSigma: choice["final"]?.string.flatMap(FinalSigma.init(rawValue:)),
                    isSGMUniform: choice["sgm"]?.bool ?? false
                )
            )
        }
    }

    static let runs: [Run] = {
        let path = "\(SingleFileLayout.ownFixtures)/schedules.json"
        let data = FileManager.default.contents(atPath: path) ?? Data()
        let json = try? JSON(Array(data), place: path)
        return (json?.object?["runs"]?.array ?? []).compactMap { $0.object.map(Run.init) }
    }()

    @Test func thereAreRuns() { #expect(Self.runs.count >= 36) }

    @Test(arguments: runs) func matchesTheReference(_ run: Run) throws {
        let scheduler = try run.scheduler()
        let timesteps = run.floats("timesteps")
        #expect(scheduler.timesteps.count == timesteps.count)
        for (found, expected) in zip(scheduler.timesteps, timesteps) {
            #expect(abs(found - expected) <= 4 * expected.ulp, "\(found) for \(expected)")
        }
        let expectedStart = Float(try #require(run.fields["init_noise_sigma"]?.number))
        #expect(abs(scheduler.initNoiseSigma - expectedStart) < 1e-5 * expectedStart)
        let sigmas = run.floats("sigmas")
        if !sigmas.isEmpty {
            expectClose(
                Tensor(scheduler.sigmas, shape: [scheduler.sigmas.count]),
                Tensor(sigmas, shape: [sigmas.count]),
                within: Tolerance.parity,
                "sigmas"
            )
        }
        let (outputs, noise) = (
            run.fields["outputs"]?.array ?? [], run.fields["noise"]?.array ?? []
        )
        let first = run.floats("start")
        var x = Tensor(first, shape: [first.count]) * scheduler.initNoiseSigma
        var history = Scheduler.History()
        for i in 0..<run.steps {
            x = scheduler.step(
                Tensor(Run.floats(outputs[i]), shape: x.shape),
                at: i,
                from: x,
                history: &history,
                noise: scheduler.drawsNoise
                    ? Tensor(Run.floats(noise[i]), shape: x.shape) : nil
            )
        }
        expectClose(
            x,
            Tensor(run.floats("last"), shape: x.shape),
            within: Tolerance.parity,
            "last latent"
        )
    }

    @Test(arguments: [
        (SchedulerKind.lcm, ScheduleChoice(spacing: .trailing), false, "--timestep-spacing"),
        (.lcm, ScheduleChoice(finalSigma: .zero), false, "--final-sigma"),
        (.eulerAncestral, ScheduleChoice(finalSigma: .smallest), false, "--final-sigma"),
        (.pndm, ScheduleChoice(isSGMUniform: true), false, "--sgm-uniform: pndm cannot use other"),
        (.tcd, ScheduleChoice(isSGMUniform: true), false, "--sgm-uniform: tcd cannot use other"),
        (.pndm, ScheduleChoice(levels: .simple), false, "evenly spaced timesteps"),
        (.tcd, ScheduleChoice(levels: .beta), false, "distilled for its own timesteps"),
        (.pndm, ScheduleChoice(), true, "--karras: pndm"),
        (.ddim, ScheduleChoice(finalSigma: .smallest, levels: .beta), false, "--final-sigma"),
        (.euler, ScheduleChoice(spacing: .leading, isSGMUniform: true), false, "--sgm-uniform"),
        (.euler, ScheduleChoice(isSGMUniform: true), true, "--karras"),
    ])
    func refusesWhatASchedulerHasNot(
        kind: SchedulerKind,
        choice: ScheduleChoice,
        karras: Bool,
        part: String
    ) throws {
        var reader = try ConfigReader(.object([:]), place: "config")
        let config = try SchedulerConfig(&reader)
        #expect {
            try Scheduler(kind, config: config, steps: 4, karras: karras, choice: choice)
        } throws: { "\($0)".contains(part) }
    }
}

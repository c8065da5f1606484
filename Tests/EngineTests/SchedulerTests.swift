import Engine
import Foundation
import TestSupport
import Testing

/// Every run of every scheduler in the fixtures: predictions and noise in, every latent out.
@Suite struct SchedulerTests {
    static let place = "\(Fixtures.folder)/expected/schedulers"

    static let runs: [String] = {
        guard let data = FileManager.default.contents(atPath: "\(place).json"),
            let json = try? JSON(Array(data), place: place)
        else { return [] }
        return (json.object ?? [:]).keys.sorted()
    }()

    struct Run {
        let scheduler: Scheduler
        let steps: Int
        let initNoiseSigma: Double
        let tensors: SafeTensors
        let name: String

        init(_ name: String) throws {
            self.name = name
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(place).json"))
            let json = try JSON(Array(data), place: place)
            let entry = try #require(json.object?[name]?.object)
            var config = try #require(entry["config"]?.object)
            config["_class_name"] = entry["class"]
            steps = try #require(entry["steps"]?.integer)
            initNoiseSigma = try #require(entry["init_noise_sigma"]?.number)
            var reader = try ConfigReader(.object(config), place: name)
            let parsed = try SchedulerConfig(&reader)
            scheduler = try Scheduler(parsed.defaultKind, config: parsed, steps: steps)
            tensors = try SafeTensors(file: "\(place).safetensors")
        }

        func tensor(_ key: String) throws -> Tensor { try tensors.tensor("\(name).\(key)") }
    }

    @Test func thereAreRuns() { #expect(!Self.runs.isEmpty) }

    /// The noise levels of Diffusers' `EulerDiscreteScheduler` with Stable Diffusion's schedule (scaled linear, 0.00085
    /// to 0.012, leading timesteps with an offset of 1) in five steps; a scheduler without σ has the same levels.
    @Test(arguments: [SchedulerKind.ddim, .euler]) func noiseLevelsAreThoseOfDiffusers(
        kind: SchedulerKind
    ) throws {
        let config = try SchedulerConfig(
            file: "\(Fixtures.folder)/sd15-tiny/scheduler/scheduler_config.json"
        )
        let scheduler = try Scheduler(kind, config: config, steps: 5)
        let expected = [5.134433, 2.292855, 1.168216, 0.574051, 0.041314]
        #expect(scheduler.timesteps == [801, 601, 401, 201, 1])
        for (i, level) in expected.enumerated() {
            #expect(abs(scheduler.noiseLevel(at: i) - level) < 2e-6 * max(1, level), "\(i)")
        }
    }

    @Test(arguments: runs) func timestepsAreExact(name: String) throws {
        let run = try Run(name)
        let expected = try run.tensor("timesteps").values
        #expect(run.scheduler.timesteps.count == expected.count)
        for (found, expected) in zip(run.scheduler.timesteps, expected) {
            let slack = expected == expected.rounded() ? 0 : Tolerance.fractionalTimestep
            #expect(abs(found - expected) <= slack * expected.ulp, "\(found) for \(expected)")
        }
        #expect(abs(Double(run.scheduler.initNoiseSigma) - run.initNoiseSigma) < 1e-5)
        if run.tensors.info("\(name).sigmas") != nil, !run.scheduler.sigmas.isEmpty {
            let sigmas = try run.tensor("sigmas")
            let found = Tensor(run.scheduler.sigmas, shape: [run.scheduler.sigmas.count])
            expectClose(found, sigmas, within: Tolerance.parity, "sigmas")
        }
    }

    @Test(arguments: runs) func noisesAtEveryTimestep(name: String) throws {
        let run = try Run(name)
        let (clean, noise) = (try run.tensor("clean"), try run.tensor("noise"))
        let rows = try run.tensor("noised").values
        for i in 0..<run.scheduler.timesteps.count {
            let row = Array(rows[(i * clean.count)..<((i + 1) * clean.count)])
            expectClose(
                run.scheduler.addNoise(clean, noise, at: i),
                Tensor(row, shape: clean.shape),
                within: Tolerance.parity,
                "noised \(i)"
            )
        }
    }

    @Test(arguments: runs) func stepsLikeTheReference(name: String) throws {
        let run = try Run(name)
        var x = try run.tensor("start") * run.scheduler.initNoiseSigma
        var history = Scheduler.History()
        for i in 0..<run.scheduler.timesteps.count {
            expectClose(
                run.scheduler.scaleModelInput(x, at: i),
                try run.tensor("\(i).scaled"),
                within: Tolerance.parity,
                "scaled \(i)"
            )
            let noise =
                run.scheduler.drawsNoise ? try run.tensor("\(i).step_noise") : nil
            x = run.scheduler.step(
                try run.tensor("\(i).eps"),
                at: i,
                from: x,
                history: &history,
                noise: noise
            )
            expectClose(x, try run.tensor("\(i).latent"), within: Tolerance.parity, "latent \(i)")
        }
    }

    @Test func anySchedulerComesFromAnyConfiguration() throws {
        for name in Self.runs {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(Self.place).json"))
            let json = try JSON(Array(data), place: Self.place)
            let entry = try #require(json.object?[name]?.object?["config"])
            var reader = try ConfigReader(entry, place: name)
            let config = try SchedulerConfig(&reader)
            for kind in SchedulerKind.allCases {
                let scheduler = try Scheduler(kind, config: config, steps: 5)
                let begun = scheduler.starts.map { scheduler.timesteps[$0] }
                #expect(begun.count == 5)
                #expect(
                    zip(begun, begun.dropFirst()).allSatisfy(>),
                    "\(name) as \(kind)"
                )
                #expect(scheduler.initNoiseSigma.isFinite)
            }
        }
    }

    @Test(arguments: [
        ("beta_schedule", JSON.string("sigmoid")), ("prediction_type", .string("sample")),
        ("an_option", .bool(true)), ("clip_sample", .bool(true)), ("beta_end", .number(2)),
        ("num_train_timesteps", .number(-1)), ("timestep_spacing", .string("wide")),
        ("algorithm_type", .string("dpmsolver+++")), ("solver_order", .number(4)),
        ("interpolation_type", .string("cubic")), ("use_lu_lambdas", .bool(true)),
        ("trained_betas", .array([.number(0.1)])),
    ])
    func refusesWhatItDoesNotKnow(key: String, value: JSON) throws {
        var reader = try ConfigReader(.object([key: value]), place: "config")
        #expect { try SchedulerConfig(&reader) } throws: { "\($0)".contains(key) }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Distilled and otherwise unusual models against Diffusers.
@Suite struct ModelKindTests {
    @Test func thereAreKinds() { #expect(KindFixture.all.count >= 10) }

    /// The refiner is opened as a part of the base model.
    private func unet(_ kind: KindFixture, _ folder: String) throws -> UNet {
        let path = try kind.assemble(in: folder)
        guard kind.name == "refiner" else {
            return try UNet(model: Model(path: path), options: EngineOptions())
        }
        let options = ModelOptions(refiner: try RefinerSource(argument: "\(path):0.5"))
        let refiner = try #require(try Model(path: kind.base, options: options).refiner)
        return try UNet(model: refiner, options: EngineOptions())
    }

    private func answer(_ kind: KindFixture, _ unet: UNet) throws -> Tensor {
        let expected = try KindFixture.expected()
        let network = try #require(Fixtures.networks.first { $0.kind == kind.family })
        let conditions = try Conditions(network)
        let isRefiner = kind.name == "refiner"
        let context =
            isRefiner
            ? Tensor(
                stride(from: 0, to: conditions.context.count, by: 80).flatMap {
                    conditions.context.values[($0 + 32)..<($0 + 80)]
                },
                shape: [2, 77, 48]
            ) : conditions.context
        return try unet.predict(
            try expected.tensor("\(kind).unet.input").channelsLast(),
            timestep: try expected.tensor("\(kind).unet.timestep").values[0],
            context: context,
            pooled: conditions.pooled,
            timeIDs: isRefiner
                ? [[128, 128, 24, 40, 2.5], [256, 384, 0, 16, 6]] : conditions.timeIDs,
            guidance: Float(kind.guidance)
        ).channelsFirst()
    }

    @Test(arguments: KindFixture.all.filter { $0.name != "playground" })
    func networksAnswerAsDiffusers(_ kind: KindFixture) throws {
        try inTemporaryFolder { folder in
            expectClose(
                try answer(kind, try unet(kind, folder)),
                try KindFixture.expected().tensor("\(kind).unet.output"),
                within: Tolerance.parity,
                "\(kind)"
            )
        }
    }

    /// UNets in the original layout, with the names that `single_file.py` gives them: alone, and in place of the
    /// fixture's own in a whole file. The configuration is the folder's, because the number of heads cannot be inferred
    /// for such narrow UNets.
    @Test func originalNamesAreRead() throws {
        let data = try #require(
            FileManager.default.contents(atPath: "\(KindFixture.folder)/original.json")
        )
        let original =
            try JSONSerialization.jsonObject(with: data) as? [String: [String: String]] ?? [:]
        #expect(original.count >= 6)
        for (name, names) in original.sorted(by: { $0.key < $1.key }) {
            let kind = try KindFixture.named(name)
            let file = "\(kind.own)/unet/diffusion_pytorch_model.safetensors"
            let tensors = try RawTensor.read(file)
            try inTemporaryFolder { folder in
                let base = try kind.assemble(in: folder)
                for prefix in ["", "diffusion_model.", "model.diffusion_model."] {
                    let path = "\(folder)/\(prefix)unet.safetensors"
                    let own = names.map { (prefix + $0, tensors[$1]) }
                    try RawTensor.write(
                        Dictionary(uniqueKeysWithValues: own).compactMapValues(\.self),
                        to: path
                    )
                    let model = try Model(path: path, options: ModelOptions(base: base))
                    try model.check(ModelNeeds(encoder: true, texts: true))
                    let found = try answer(kind, UNet(model: model, options: EngineOptions()))
                    let wanted = try KindFixture.expected().tensor("\(kind).unet.output")
                    expectClose(found, wanted, within: Tolerance.parity, "\(prefix)\(kind)")
                }
            }
        }
    }
}

/// EDM's formulation, as Playground 2.5 uses it, and the refiner.
@Suite struct FormulationTests {
    private func config(_ fields: [String: JSON]) throws -> SchedulerConfig {
        var reader = try ConfigReader(.object(fields), place: "scheduler")
        return try SchedulerConfig(&reader)
    }

    @Test(arguments: [
        ("dpmpp_2m", ["_class_name": JSON.string("EDMDPMSolverMultistepScheduler")]),
        ("euler", ["_class_name": .string("EDMEulerScheduler")]),
        (
            "exponential",
            [
                "_class_name": .string("EDMEulerScheduler"),
                "sigma_schedule": .string("exponential"),
            ]
        ),
    ]) func timestepsAreNoiseLevels(name: String, fields: [String: JSON]) throws {
        let config = try config(fields)
        let scheduler = try Scheduler(config.defaultKind, config: config, steps: 6)
        let wanted = try KindFixture.expected().tensor("playground.\(name).timesteps").values
        #expect(scheduler.timesteps.count == wanted.count)
        for (a, b) in zip(scheduler.timesteps, wanted) { #expect(abs(a - b) < 2e-6 * 4) }
        #expect(scheduler.initNoiseSigma == Float((80.0 * 80 + 1).squareRoot()))
        // The positions at which a latent of Stable Diffusion XL is equally noisy: σ/σ_data is its σ.
        #expect(scheduler.positions.first == 999 && scheduler.positions.last == 0)
        let falls = zip(scheduler.positions, scheduler.positions.dropFirst()).allSatisfy {
            $0 >= $1
        }
        #expect(falls)
        try scheduler.checkFinite(place: "scheduler")
        // The end of the schedule, for refinement: levels fall from that of timestep 249.
        let end = try scheduler.ending(share: 0.25, steps: 2)
        #expect(end.positions.count == 2 && abs(end.positions[0] - 249) < 0.01)
        #expect(abs(end.positions[1] - 124) < 0.01)
    }

    @Test func otherSamplersAreRefused() throws {
        let config = try config(["_class_name": .string("EDMEulerScheduler")])
        for kind in [SchedulerKind.ddim, .heun, .lcm, .uniPC, .eulerAncestral] {
            let error = #expect(throws: InputError.self) {
                _ = try Scheduler(kind, config: config, steps: 6)
            }
            #expect(error?.description.contains("EDM") == true)
        }
        for choice in [
            ScheduleChoice(spacing: .trailing), ScheduleChoice(isSGMUniform: true),
            ScheduleChoice(levels: .simple),
        ] {
            #expect(throws: InputError.self) {
                _ = try Scheduler(.euler, config: config, steps: 6, choice: choice)
            }
        }
        _ = try Scheduler(.euler, config: config, steps: 6, karras: true)
    }

    @Test func latentsAreNormalised() throws {
        let kind = try KindFixture.named("playground")
        let expected = try KindFixture.expected()
        try inTemporaryFolder { folder in
            let model = try Model(path: try kind.assemble(in: folder))
            let vae = try VAE(
                model: model,
                options: EngineOptions(),
                halves: [.decoder, .encoder]
            )
            let latent = try vae.latent(
                of: try expected.tensor("playground.vae.image").channelsLast()
            )
            expectClose(
                latent.channelsFirst(),
                try expected.tensor("playground.vae.latent"),
                within: Tolerance.parity,
                "encoded"
            )
            let picture = try vae.decode(
                try expected.tensor("playground.stock.latent").channelsLast()
            )
            expectClose(
                picture.channelsFirst(),
                try expected.tensor("playground.stock.image"),
                within: Tolerance.parity,
                "decoded"
            )
        }
    }

    /// A single file of Playground 2.5 stores its normalisation in two tensors.
    @Test func aSingleFileOfPlaygroundIsRecognised() throws {
        try inTemporaryFolder { folder in
            var tensors = try SingleFileLayout("sdxl", size: "fixture").tensors()
            let means: [Float] = [-1.6574, 0.886, -1.383, 2.5155]
            for (name, values) in [("edm_mean", means), ("edm_std", [8, 5, 6, 5])] {
                tensors[name] = RawTensor(
                    type: .float32,
                    shape: [1, 4, 1, 1],
                    bytes: values.flatMap { withUnsafeBytes(of: $0) { Array($0) } }
                )
            }
            let path = "\(folder)/playground.safetensors"
            try RawTensor.write(tensors, to: path)
            let options = ModelOptions(config: "\(SingleFileLayout.ownFixtures)/sdxl-tiny")
            let model = try Model(path: path, options: options)
            // The number of heads cannot be inferred for the fixture's narrow UNet, and the given folder has a
            // scheduler: only the VAE's counts.
            #expect(model.kind.contains("single file"))
            let alone = try Model(path: path)
            #expect(try alone.schedulerConfig().defaultKind == .dpmSolver)
            #expect(try alone.vaeConfig().scalingFactor == 0.5)
        }
    }

    @Test func refinersAreForSDXL() throws {
        try inTemporaryFolder { folder in
            let kind = try KindFixture.named("refiner")
            let path = try kind.assemble(in: folder)
            let alone = #expect(throws: InputError.self) { _ = try Model(path: path) }
            #expect(alone?.description.contains("--refiner") == true)
            let report = try ModelReport(path: path, options: ModelOptions(), readsWeights: false)
            #expect(report.refusal?.description.contains("--refiner") == true)
            let source = RefinerSource(path: path, start: 0.8)
            let sd15 = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
            for (model, refiner) in [
                (sd15, source), (kind.base, RefinerSource(path: sd15, start: 0.8)),
            ] {
                let error = #expect(throws: InputError.self) {
                    _ = try Model(path: model, options: ModelOptions(refiner: refiner))
                }
                #expect(error?.description.contains("--refiner") == true)
            }
            let options = ModelOptions(refiner: source)
            let both = try Model(path: kind.base, options: options)
            #expect(try both.digest() != Model(path: kind.base).digest())
            #expect(try both.architecture.geometry().refinerStart == 0.8)
            #expect(both.refiner?.family == .sdxlRefiner)
            let geometry = try both.architecture.geometry()
            #expect(!geometry.isRefined(at: 200, of: 1000) && geometry.isRefined(at: 199, of: 1000))
        }
        #expect(try RefinerSource(argument: "a:0.7") == RefinerSource(path: "a", start: 0.7))
        #expect(try RefinerSource(argument: "a") == RefinerSource(path: "a", start: 0.8))
        for text in ["a:1", "a:0", "a:x", "a:"] {
            #expect(throws: InputError.self) { _ = try RefinerSource(argument: text) }
        }
    }
}

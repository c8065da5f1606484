import Engine
import TestSupport
import Testing

/// The networks against the tensors that Diffusers computes from the same checkpoints.
@Suite struct NetworkParityTests {
    @Test func fixturesExist() { #expect(!Fixtures.networks.isEmpty, "\(Fixtures.folder)") }

    @Test(arguments: Fixtures.networks, TestedBackends.all)
    func promptsEncode(_ fixture: NetworkFixture, _ backend: BackendKind) throws {
        let expected = try fixture.tensors()
        let encoder = try PromptEncoder(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(backend: backend)
        )
        let sides = [
            ("", try encoder.encode(fixture.prompt)),
            ("negative_", try encoder.encodeNegative(fixture.negative)),
        ]
        for (side, found) in sides {
            expectClose(
                found.context,
                try expected.tensor("\(side)prompt_embeds"),
                within: Tolerance.parity,
                "\(fixture) \(side)prompt_embeds"
            )
            let name = "\(side)pooled"
            #expect((found.pooled != nil) == expected.names.contains(name))
            if let pooled = found.pooled {
                expectClose(
                    pooled,
                    try expected.tensor(name),
                    within: Tolerance.parity,
                    "\(fixture) \(name)"
                )
            }
        }
    }

    @Test(arguments: Fixtures.networks, TestedBackends.all)
    func unetPredicts(_ fixture: NetworkFixture, _ backend: BackendKind) throws {
        let expected = try fixture.tensors()
        let unet = try UNet(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(backend: backend, threads: 2)
        )
        let conditions = try Conditions(fixture)
        let indices = try fixture.indices(of: "unet", "input")
        #expect(!indices.isEmpty)
        for j in indices {
            let found = try unet.predict(
                try expected.tensor("unet.\(j).input").channelsLast(),
                timestep: try expected.tensor("unet.\(j).timestep").values[0],
                context: conditions.context,
                pooled: conditions.pooled,
                timeIDs: conditions.timeIDs
            )
            expectClose(
                found.channelsFirst(),
                try expected.tensor("unet.\(j).output"),
                within: Tolerance.parity,
                "\(fixture) unet.\(j)"
            )
        }
    }

    @Test(arguments: Fixtures.networks, TestedBackends.all)
    func vaeDecodes(_ fixture: NetworkFixture, _ backend: BackendKind) throws {
        let expected = try fixture.tensors()
        let vae = try VAE(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(backend: backend, threads: 2),
            halves: [.decoder]
        )
        let found = try vae.decode(try expected.tensor("vae.latent").channelsLast())
        expectClose(
            found.channelsFirst(),
            try expected.tensor("vae.decoded"),
            within: Tolerance.parity,
            "\(fixture) vae.decoded"
        )
    }

    @Test(arguments: Fixtures.networks, TestedBackends.all)
    func vaeEncodes(_ fixture: NetworkFixture, _ backend: BackendKind) throws {
        let expected = try fixture.tensors()
        let vae = try VAE(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(backend: backend),
            halves: [.decoder, .encoder]
        )
        let found = try vae.encode(try expected.tensor("vae.image").channelsLast())
        expectClose(
            found.mean.channelsFirst(),
            try expected.tensor("vae.mean"),
            within: Tolerance.parity,
            "\(fixture) vae.mean"
        )
        expectClose(
            found.logVariance.channelsFirst(),
            try expected.tensor("vae.logvar"),
            within: Tolerance.parity,
            "\(fixture) vae.logvar"
        )
    }

    /// Neither the number of threads nor the other views in the batch change a single bit.
    @Test(arguments: Fixtures.networks, Computing.available)
    func predictionsAreReproducible(_ fixture: NetworkFixture, _ way: Computing) throws {
        let model = try Model(path: fixture.checkpoint)
        let expected = try fixture.tensors()
        let conditions = try Conditions(fixture)
        for j in try fixture.indices(of: "unet", "input") {
            let latents = try expected.tensor("unet.\(j).input").channelsLast()
            let timestep = try expected.tensor("unet.\(j).timestep").values[0]
            var first: [Float]?
            for threads in 1...3 {
                let unet = try UNet(model: model, options: way.options(threads: threads))
                let both = try unet.predict(
                    latents,
                    timestep: timestep,
                    context: conditions.context,
                    pooled: conditions.pooled,
                    timeIDs: conditions.timeIDs
                ).values
                var single: [Float] = []
                for row in 0..<latents.shape[0] {
                    let own = conditions.row(row)
                    single += try unet.predict(
                        latents.row(row),
                        timestep: timestep,
                        context: own.context,
                        pooled: own.pooled,
                        timeIDs: own.timeIDs
                    ).values
                }
                #expect(both == single, "\(fixture) unet.\(j), \(threads) threads")
                #expect(both == first ?? both, "\(fixture) unet.\(j), \(threads) threads")
                first = both
            }
        }
    }

    /// bfloat16 has eight significant bits: the results differ from float32's, but not by much.
    @Test(.enabled(if: Processor.current.hasAVX512), arguments: Fixtures.networks, Computing.short)
    func bfloat16IsClose(_ fixture: NetworkFixture, _ way: Computing) throws {
        let expected = try fixture.tensors()
        let model = try Model(path: fixture.checkpoint)
        let unet = try UNet(model: model, options: way.options(threads: 1))
        let conditions = try Conditions(fixture)
        for j in try fixture.indices(of: "unet", "input") {
            let found = try unet.predict(
                try expected.tensor("unet.\(j).input").channelsLast(),
                timestep: try expected.tensor("unet.\(j).timestep").values[0],
                context: conditions.context,
                pooled: conditions.pooled,
                timeIDs: conditions.timeIDs
            )
            let wanted = try expected.tensor("unet.\(j).output")
            let error = rootMeanSquareError(found.channelsFirst(), wanted)
            #expect(error <= Tolerance.bfloat16, "\(fixture) unet.\(j): \(error)")
        }
        let vae = try VAE(
            model: model,
            options: way.options(threads: 1),
            halves: [.decoder]
        )
        let picture = try vae.decode(try expected.tensor("vae.latent").channelsLast())
        let error = rootMeanSquareError(
            picture.channelsFirst(),
            try expected.tensor("vae.decoded")
        )
        #expect(error <= Tolerance.bfloat16, "\(fixture) vae.decoded: \(error)")
    }

    @Test(arguments: Fixtures.networks) func mismatchesAreNamed(_ fixture: NetworkFixture) throws {
        let unet = try UNet(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions()
        )
        let conditions = try Conditions(fixture)
        func predict(_ latents: Tensor, _ context: Tensor) throws {
            _ = try unet.predict(
                latents,
                timestep: 1,
                context: context,
                pooled: conditions.pooled,
                timeIDs: conditions.timeIDs
            )
        }
        let channels = unet.config.inChannels
        #expect(throws: InputError.self) {
            try predict(Tensor(zeros: [2, 8, 8, channels + 1]), conditions.context)
        }
        #expect(throws: InputError.self) {
            try predict(Tensor(zeros: [2, 8, channels]), conditions.context)
        }
        #expect(throws: InputError.self) {
            try predict(Tensor(zeros: [2, 8, 8, channels]), Tensor(zeros: [2, 77, 1]))
        }
        if unet.config.needsTimeIDs {
            #expect(throws: InputError.self) {
                _ = try unet.predict(
                    Tensor(zeros: [2, 8, 8, channels]),
                    timestep: 1,
                    context: conditions.context,
                    pooled: conditions.pooled,
                    timeIDs: [[1]]
                )
            }
        }
    }
}

/// The backends and precisions of this build.
enum Computing {
    case openblas, onednn, bfloat16, widened

    /// The ones that this processor can run.
    static var available: [Computing] {
        [.openblas, .onednn] + short
    }

    /// The ones that compute in bfloat16.
    static var short: [Computing] {
        (Processor.current.hasBFloat16 ? [.bfloat16] : [])
            + (Processor.current.hasAVX512 ? [.widened] : [])
    }

    func options(threads: Int) -> EngineOptions {
        switch self {
        case .openblas: EngineOptions(backend: .openblas, threads: threads)
        case .onednn: EngineOptions(backend: .onednn, threads: threads)
        case .bfloat16, .widened:
            EngineOptions(
                backend: .onednn,
                precision: .bf16,
                threads: threads,
                multiplication: self == .widened ? .widened : .stored
            )
        }
    }
}

/// What a fixture's UNet is conditioned on: the negative prompt, then the positive one.
struct Conditions {
    let context: Tensor
    let pooled: Tensor?
    let timeIDs: [[Float]]?

    init(_ fixture: NetworkFixture) throws {
        let expected = try fixture.tensors()
        func pair(_ name: String) throws -> Tensor {
            let negative = try expected.tensor("negative_\(name)")
            let positive = try expected.tensor(name)
            return Tensor(
                negative.values + positive.values,
                shape: [2] + Array(negative.shape.dropFirst())
            )
        }
        context = try pair("prompt_embeds")
        pooled = expected.names.contains("pooled") ? try pair("pooled") : nil
        timeIDs =
            expected.names.contains("unet.time_ids")
            ? try expected.tensor("unet.time_ids").rows() : nil
    }

    private init(context: Tensor, pooled: Tensor?, timeIDs: [[Float]]?) {
        self.context = context
        self.pooled = pooled
        self.timeIDs = timeIDs
    }

    func row(_ i: Int) -> Conditions {
        Conditions(
            context: context.row(i),
            pooled: pooled?.row(i),
            timeIDs: timeIDs.map { [$0[i]] }
        )
    }
}

extension Tensor {
    /// Entry `i` of the first axis, as a batch of one.
    fileprivate func row(_ i: Int) -> Tensor {
        let size = count / shape[0]
        return Tensor(Array(values[i * size..<(i + 1) * size]), shape: [1] + shape.dropFirst())
    }

    fileprivate func rows() -> [[Float]] { (0..<shape[0]).map { row($0).values } }
}

import Synchronization

/// The networks that an evaluator runs.
package protocol ModelNetworks: AnyObject, Sendable {
    /// Identity of the loaded model.
    var identity: ModelIdentity { get }
    /// Names of the backend and of the precision, as on the command line.
    var backend: String { get }
    var precision: String { get }
    /// Number of threads that compute one unit.
    var threads: Int { get }
    /// Name of the device: "NVIDIA H100 80GB HBM3 (cuda:0)"; nil for the processor.
    var device: String? { get }
    /// Maximum rows of a denoiser batch, up to which units are gathered; on a CPU, the two rows of a guided view.
    var batchRows: Int { get }
    /// Whether larger batches may be faster, so that measuring pays off.
    var mayGainFromBatches: Bool { get }

    /// Whether the device computes while its thread does other work, so that the input of the next evaluation
    /// should be uploaded meanwhile.
    var isAsynchronous: Bool { get }

    /// Prepares an evaluation of the denoiser. Its steps may be interleaved with those of other evaluations, and
    /// with evaluations of the VAE.
    ///
    /// - Parameters:
    ///   - input: the input of one batch
    ///   - cancellation: checked within the evaluation where that is cheap
    /// - Returns: the evaluation; its predictions have the shape of `input.latents`
    /// - Throws: `InputError` if the inputs do not fit the model, `ComputationCancelled`, `DeviceError`
    func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation

    /// Decodes a latent or encodes a picture; loads that half of the VAE on first use.
    ///
    /// - Parameters:
    ///   - half: decoder or encoder
    ///   - input: a latent, `[1, height, width, channels]`, or a picture, `[1, height · factor, width · factor, 3]`;
    ///     for a tile, including its margins
    ///   - part: what to compute of a tile; nil for a whole latent or picture
    ///   - tokens: tokens of the picture that a tile attends to, each `[1, tokens, width]`
    ///   - cancellation: as in `evaluation`
    /// - Returns: the picture, about −1…1, the latent in the form that samplers use, or what the part asks for
    /// - Throws: `InputError` if the weights cannot be read or the input does not fit them, `ComputationCancelled`
    func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation
    ) throws -> WorkResult

    /// Moves what is kept on the device for later evaluations to the host. Called when an evaluation ran out of memory.
    ///
    /// - Returns: whether anything was moved, so that the evaluation is worth a retry
    /// - Throws: `DeviceError`
    func makeRoom() throws -> Bool

    /// Frees memory; networks are loaded again when they are needed.
    func unload()
}

extension ModelNetworks {
    package var batchRows: Int { 2 }
    package var mayGainFromBatches: Bool { false }
    package var isAsynchronous: Bool { false }
    package var device: String? { nil }
    package func makeRoom() throws -> Bool { false }
    package func unload() {}
}

/// The denoiser of a model and the halves of its VAE, each loaded on first use. Never loads the text encoders:
/// prompts arrive as embeddings.
package final class LoadedNetworks: ModelNetworks {
    private struct Networks {
        var denoiser: (any Denoiser)?
        /// The denoiser of the model's refiner.
        var refiner: (any Denoiser)?
        var halves: [AutoencoderHalf: VAE] = [:]
        /// Halves of the VAE in float32, loaded after a lower precision has given NaN or infinity.
        var exactHalves: [AutoencoderHalf: VAE] = [:]
        /// Unfinished evaluations, by number.
        var evaluations: [Int: any DenoiserEvaluation] = [:]
        /// Number of evaluations so far.
        var count = 0

        /// As `ModelNetworks.makeRoom`.
        func makeRoom() throws -> Bool {
            var found = false
            for vae in [halves, exactHalves].flatMap(\.values) where try vae.moveTilesToFiles() {
                found = true
            }
            return found
        }
    }

    package let identity: ModelIdentity
    package let model: Model
    private let options: EngineOptions
    /// Number of views that are predicted together, if the user set it.
    package let batch: Int?
    /// Maximum rows of a batch.
    package let batchRows: Int
    /// Whether it runs on a GPU and the user did not set a batch size.
    package let mayGainFromBatches: Bool
    private let networks = Mutex(Networks())

    /// - Parameters:
    ///   - model: the model with the weights
    ///   - identity: the model's identity
    ///   - options: how the networks are computed
    ///   - batch: maximum number of views that are predicted together; nil for one on the processor
    ///     and as many as pay off on a GPU
    package init(
        _ model: Model,
        identity: ModelIdentity,
        options: EngineOptions,
        batch: Int? = nil
    ) {
        (self.model, self.identity, self.options) = (model, identity, options)
        self.batch = batch
        mayGainFromBatches = batch == nil && options.device != .processor
        batchRows = 2 * (batch ?? (mayGainFromBatches ? BatchSizes.most : 1))
    }

    package var backend: String { options.backend.rawValue }
    package var precision: String { options.precision.rawValue }
    package var threads: Int { options.threads }
    package var device: String? {
        options.device == .processor ? nil : TorchDevices.title(of: options.device)
    }

    /// Loads the denoiser.
    ///
    /// - Returns: where the denoiser's weights came from
    /// - Throws: `InputError` for a missing or unusable file, or options that this build does not support
    @discardableResult
    package func load() throws -> WeightCache.Origin {
        try networks.withLock { try loadedDenoiser(&$0).origin }
    }

    package func unload() {
        networks.withLock {
            $0.denoiser = nil
            $0.refiner = nil
            $0.halves = [:]
            $0.exactHalves = [:]
        }
    }

    package func makeRoom() throws -> Bool { try networks.withLock { try $0.makeRoom() } }

    package var isAsynchronous: Bool { options.device != .processor }

    package func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation {
        let number = try networks.withLock { networks in
            try cancellation.check()
            let isRefined =
                input.timeIDs?.first.map(WorkUnit.Conditioning.areOfRefiner) ?? false
            let denoiser =
                isRefined ? try loadedRefiner(&networks) : try loadedDenoiser(&networks)
            let evaluation = try denoiser.evaluation(of: input, cancellation: cancellation)
            networks.count += 1
            networks.evaluations[networks.count] = evaluation
            return networks.count
        }
        return Turn(self, number)
    }

    /// An evaluation whose steps take the lock, because backends are used by one thread at a time. Other
    /// evaluations may run between its steps.
    private final class Turn: DenoiserEvaluation {
        private let owner: LoadedNetworks
        private let number: Int

        init(_ owner: LoadedNetworks, _ number: Int) {
            (self.owner, self.number) = (owner, number)
        }

        deinit { owner.networks.withLock { $0.evaluations[number] = nil } }

        func start() throws {
            try owner.networks.withLock { networks in
                guard let evaluation = networks.evaluations[number] else {
                    preconditionFailure("evaluation \(number) is finished")
                }
                try evaluation.start()
            }
        }

        func finish() throws -> Tensor {
            try owner.networks.withLock { networks in
                guard let evaluation = networks.evaluations.removeValue(forKey: number) else {
                    preconditionFailure("evaluation \(number) is finished")
                }
                return try evaluation.finish()
            }
        }
    }

    private func loadedRefiner(_ networks: inout Networks) throws -> any Denoiser {
        if let loaded = networks.refiner { return loaded }
        guard let refiner = model.refiner else {
            throw InputError(
                "time ids",
                "they are for a refiner, but the model has none",
                fix: "Give it with --refiner"
            )
        }
        let denoiser = try refiner.architecture.denoiser(options)
        networks.refiner = denoiser
        return denoiser
    }

    private func loadedDenoiser(_ networks: inout Networks) throws -> any Denoiser {
        let denoiser = try networks.denoiser ?? model.architecture.denoiser(options)
        networks.denoiser = denoiser
        return denoiser
    }

    /// Evaluates half of the VAE; again in float32 if a lower precision gave NaN or infinity.
    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation
    ) throws -> WorkResult {
        func evaluate(_ vae: VAE, _ networks: Networks) throws -> WorkResult {
            try vae.evaluateInMemory(half, input, as: part, tokens, cancellation) {
                try networks.makeRoom()
            }
        }
        func loaded(_ options: EngineOptions, _ networks: Networks) throws -> VAE {
            do {
                return try model.architecture.autoencoder(half, options)
            } catch let error as DeviceError where error.kind == .outOfMemory {
                guard try networks.makeRoom() else { throw error }
                return try model.architecture.autoencoder(half, options)
            }
        }
        return try networks.withLock { networks in
            let options = options.computing(half)
            let vae = try networks.halves[half] ?? loaded(options, networks)
            networks.halves[half] = vae
            let result = try evaluate(vae, networks)
            guard options.precision != .f32, !result.isFinite else { return result }
            let other = try networks.exactHalves[half] ?? loaded(options.with(.f32), networks)
            networks.exactHalves[half] = other
            return try evaluate(other, networks)
        }
    }
}

extension VAE {
    /// Like `evaluate`, but if the device runs out of memory: retries after `makeRoom` has moved other things away,
    /// then evaluates an upper and a lower half.
    fileprivate func evaluateInMemory(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        _ tokens: [Tensor],
        _ cancellation: Cancellation,
        makeRoom: () throws -> Bool
    ) throws -> WorkResult {
        do {
            return try evaluate(
                half,
                input,
                as: part,
                attending: tokens,
                cancellation: cancellation
            )
        } catch let error as DeviceError where error.kind == .outOfMemory {
            let hasRoom = try makeRoom()
            // If the tile was kept, its activations are lost now.
            guard !input.isOmitted else { throw TileNotKept() }
            if hasRoom {
                return try evaluateInMemory(
                    half,
                    input,
                    as: part,
                    tokens,
                    cancellation,
                    makeRoom: makeRoom
                )
            }
            let network = config.network(half)
            guard let part,
                let halves = network.halves(of: input, part, factor: config.factor)
            else { throw error.at(half, input.shape) }
            let results = try halves.map {
                try evaluateInMemory(
                    half,
                    $0.input,
                    as: $0.part,
                    tokens,
                    cancellation,
                    makeRoom: makeRoom
                )
            }
            return network.joined(halves, results, factor: config.factor)
        }
    }

    /// Decodes or encodes a whole picture or one tile of it.
    ///
    /// - Parameters: as in `ModelNetworks.evaluate`
    /// - Throws: as `ModelNetworks.evaluate`
    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation = Cancellation()
    ) throws -> WorkResult {
        if let part {
            return try evaluate(
                half,
                input,
                as: part,
                keys: tokens,
                cancellation: cancellation
            )
        }
        switch half {
        case .decoder:
            return WorkResult(tensor: try decode(input, cancellation: cancellation))
        case .encoder:
            return WorkResult(tensor: try latent(of: input, cancellation: cancellation))
        }
    }
}

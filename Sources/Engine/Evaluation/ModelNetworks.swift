import Synchronization

/// The networks that an evaluator computes with.
package protocol ModelNetworks: AnyObject, Sendable {
    /// What was loaded.
    var identity: ModelIdentity { get }
    /// Names of the numerical backend and of the precision, as on the command line.
    var backend: String { get }
    var precision: String { get }
    /// Threads that compute one unit.
    var threads: Int { get }
    /// What computes, if it is not the processor: "NVIDIA H100 80GB HBM3 (cuda:0)".
    var device: String? { get }
    /// Maximum batch of the denoiser up to which units are gathered: on a CPU the two rows of
    /// a guided view.
    var batchRows: Int { get }
    /// Whether larger batches may be faster, so that it is worth measuring.
    var mayGainFromBatches: Bool { get }

    /// Whether the device computes while its thread does other things, so that it is worth uploading the input of the
    /// next evaluation meanwhile.
    var isAsynchronous: Bool { get }

    /// Prepares an evaluation of the denoiser. Its steps may be called between those of others, and between evaluations
    /// of the VAE.
    ///
    /// - Parameters:
    ///   - input: for one batch
    ///   - cancellation: checked within the evaluation where that is cheap
    /// - Returns: the evaluation, which predicts something of the shape of `input.latents`
    /// - Throws: `InputError` when the inputs do not fit the model, `ComputationCancelled`, `DeviceError`
    func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation

    /// Decodes a latent or encodes a picture; loads that half of the VAE on first use.
    ///
    /// - Parameters:
    ///   - half: decoder or encoder
    ///   - input: `[1, height, width, channels]`, a latent, or `[1, height · factor, width · factor, 3]`,
    ///     a picture; a part includes its margins
    ///   - part: what to compute of a tile; nil for a whole latent or picture
    ///   - tokens: `[1, tokens, width]` each, of the picture, which a tile attends to
    ///   - cancellation: as in `evaluation`
    /// - Returns: the picture, about −1…1, the latent as samplers take it, or what the part asks for
    /// - Throws: `InputError` when the weights cannot be read or the input does not fit them,
    ///   `ComputationCancelled`
    func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation
    ) throws -> WorkResult

    /// Moves what is kept on the device for later evaluations to the host. Called when an evaluation had too little memory.
    ///
    /// - Returns: whether there was any, so that the evaluation is worth another try
    /// - Throws: `DeviceError`
    func makeRoom() throws -> Bool

    /// Frees memory; networks are reloaded when they are used again.
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

/// The denoiser of a model and the halves of its VAE, each loaded on first use. Never the text
/// encoders: prompts arrive as embeddings.
package final class LoadedNetworks: ModelNetworks {
    private struct Networks {
        var denoiser: (any Denoiser)?
        /// Of the model's refiner.
        var refiner: (any Denoiser)?
        var halves: [AutoencoderHalf: VAE] = [:]
        /// In float32, once bfloat16 has given NaN or infinity.
        var exactHalves: [AutoencoderHalf: VAE] = [:]
        /// Those that are not finished, by number.
        var evaluations: [Int: any DenoiserEvaluation] = [:]
        /// Evaluations so far.
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
    /// Views that are predicted together, as it was told.
    package let batch: Int?
    /// Maximum rows of a batch.
    package let batchRows: Int
    /// A GPU, which nobody told a size of batches.
    package let mayGainFromBatches: Bool
    private let networks = Mutex(Networks())

    /// - Parameters:
    ///   - model: the weights
    ///   - identity: of the model
    ///   - options: how they are computed with
    ///   - batch: views that are predicted together, at most; nil: one on the processor, and as many as pay on a GPU
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
    /// - Returns: where its weights came from
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

    /// An evaluation whose steps take the lock: backends are used by one thread at a time. Between the steps others have
    /// their turn.
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
                "they are a refiner's, and the model has none",
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

    /// Evaluates a half, and again in float32 if bfloat16 gave NaN or infinity.
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
    /// The same as `evaluate`; where the device's memory is too small, again when `makeRoom` has moved other things from there, then as
    /// an upper and a lower half.
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
            // Of a tile that was kept nothing is left.
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

    /// Decodes or encodes, a whole picture or one tile of it.
    ///
    /// - Parameters: as of `ModelNetworks.evaluate`
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

/// The autoencoder of a model: latents to pictures and back.
package final class VAE {
    /// The shape of the network.
    package let config: VAEConfig
    private let backend: any Backend
    private let decoder: VAEDecoder?
    private let encoder: VAEEncoder?
    /// Where the weights came from.
    package let origin: WeightCache.Origin

    /// Log-variances are clamped to this range, as in the reference.
    private static let logVariances: ClosedRange<Float> = -30...20

    /// Reads the configuration and the weights of some halves, or maps the weights from `cache`. `wrapping`
    /// may wrap the backend.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(
        model: Model,
        options: EngineOptions,
        halves: Set<AutoencoderHalf>,
        cache: WeightCache? = .standard,
        wrapping: (any Backend) -> any Backend = { $0 }
    ) throws {
        let config = try model.vaeConfig()
        let prepared = try model.prepare(
            .vae,
            part: halves.count == 1 ? halves.first?.rawValue : nil,
            options: options,
            cache: cache,
            wrapping: wrapping
        ) { weights in
            (
                decoder: halves.contains(.decoder)
                    ? try VAEDecoder(weights, config: config) : nil,
                encoder: halves.contains(.encoder)
                    ? try VAEEncoder(weights, config: config) : nil
            )
        }
        self.config = config
        (decoder, encoder) = prepared.network
        (backend, origin) = (prepared.backend, prepared.origin)
    }

    private func loaded<Half>(_ half: Half?) -> Half {
        guard let half else { preconditionFailure("this half of the VAE was not read") }
        return half
    }

    /// Decodes a latent as the sampler returns it: this call divides it by the scaling factor.
    ///
    /// - Parameters:
    ///   - latent: `[n, h, w, latentChannels]`
    ///   - cancellation: checked between the decoder's blocks
    /// - Returns: `[n, factor · h, factor · w, 3]`, about −1…1
    /// - Throws: `InputError` when the shape does not fit the model, `ComputationCancelled`
    package func decode(
        _ latent: Tensor,
        cancellation: Cancellation = Cancellation()
    ) throws -> Tensor {
        guard latent.shape.count == 4, latent.shape[3] == config.latentChannels, latent.count > 0
        else {
            throw InputError(
                "latent",
                "has the shape \(latent.shape), the VAE needs [n, h, w, \(config.latentChannels)]",
                fix: "Use a latent that was made for this model"
            )
        }
        return try backend.evaluating([0] + latent.shape) {
            backend.download(try loaded(decoder)(uploaded(latent: latent), cancellation))
        }
    }

    /// The latent as the decoder's input.
    private func uploaded(latent: Tensor) -> Activation {
        guard let normalisation = config.normalisation else {
            return backend.upload(latent.map { $0 / config.scalingFactor })
        }
        return backend.upload(
            latent.mapChannels { x, channel in
                x * normalisation.deviation[channel] / config.scalingFactor
                    + normalisation.mean[channel]
            }
        )
    }

    /// Evaluates a half on a tile, as a part of its picture.
    ///
    /// - Parameters:
    ///   - half: decodes or encodes
    ///   - input: `[1, h, w, latentChannels]`, the tile and its margins, as the sampler leaves it; to encode
    ///     `[1, factor · h, factor · w, 3]`, −1…1
    ///   - part: what to compute
    ///   - keys: `[1, tokens, width]` each: tokens of the picture, for the attention; if empty, the
    ///     tile's own
    ///   - cancellation: checked between the blocks
    /// - Returns: `[1, factor · height, factor · width, 3]` of the tile, its latent
    ///   `[1, height, width, latentChannels]` as `latent(of:)` gives it, or what else the part requests
    /// - Throws: `InputError` when something does not fit the model or the tile, `ComputationCancelled`
    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart,
        keys: [Tensor],
        cancellation: Cancellation = Cancellation()
    ) throws -> WorkResult {
        try check(part, of: input, keys, half)
        let statistics = NormStatistics(
            groups: config.normGroups,
            statistics: part.statistics,
            corrections: part.corrections,
            norms: part.norms
        )
        let margins = part.margins
        let lattice = part.tokens
        let tokens = keys.reduce(0) { $0 + $1.shape[1] }
        let order =
            [half == .decoder ? 1 : 2] + input.shape
            + [margins.top, margins.left, margins.bottom, margins.right]
            + [part.norms, part.statistics.count, tokens]
            + (lattice.map { [$0.stride, $0.firstRow, $0.firstColumn] } ?? [])
        backend.normStatistics = statistics
        defer { backend.normStatistics = nil }
        let result = try backend.evaluating(order) {
            let task = PartTask(
                part: part,
                statistics: statistics,
                keys: keys.isEmpty
                    ? nil
                    : backend.upload(Tensor(chaining: keys, shape: [1, tokens, config.width])),
                cancellation: cancellation
            )
            let result =
                switch half {
                case .decoder:
                    try loaded(decoder).part(
                        uploaded(latent: input),
                        task,
                        reach: config.decoderReach
                    )
                case .encoder:
                    try loaded(encoder).part(
                        backend.upload(input),
                        task,
                        factor: config.factor,
                        reach: config.encoderReach()
                    )
                }
            return result.map(backend.download)
        }
        let isLatent = half == .encoder && part.norms == 0
        return WorkResult(
            tensor: isLatent ? result.map(latent(ofMoments:)) : result,
            statistics: statistics.seen
        )
    }

    /// Rejects what cannot come from a coordinator that has this model.
    private func check(
        _ part: PicturePart,
        of input: Tensor,
        _ keys: [Tensor],
        _ half: AutoencoderHalf
    ) throws(InputError) {
        let network = config.network(half)
        let (channels, unit) =
            switch half {
            case .decoder: (config.latentChannels, 1)
            case .encoder: (config.imageChannels, config.factor)
            }
        func misfit(_ what: String) -> InputError {
            InputError("part", what, fix: "Use the same version of Tessera on both sides")
        }
        guard input.shape.count == 4, input.shape[0] == 1, input.shape[3] == channels,
            input.count > 0, input.shape[1] % unit == 0, input.shape[2] % unit == 0
        else { throw misfit("has a tile of the shape \(input.shape)") }
        let core = part.margins.core(
            height: input.shape[1] / unit,
            width: input.shape[2] / unit
        )
        guard core.area > 0 else { throw misfit("has margins that leave nothing") }
        let known = part.statistics.count
        guard part.norms <= network.norms, known % network.groups == 0,
            part.corrections.count % network.groups == 0,
            known + part.corrections.count <= network.norms * network.groups,
            part.norms > 0 || known == network.norms * network.groups
        else { throw misfit("has \(known) statistics and \(part.corrections.count) corrections") }
        let sound = (part.statistics + part.corrections).allSatisfy {
            $0.mean.isFinite && $0.variance.isFinite && $0.variance >= 0
        }
        guard sound else { throw misfit("has NaN or infinite statistics") }
        guard
            keys.allSatisfy({
                $0.shape.count == 3 && $0.shape[0] == 1 && $0.shape[2] == config.width
            }), keys.isEmpty || network.attention != nil
        else { throw misfit("has keys that do not fit the attention") }
        guard let lattice = part.tokens else { return }
        guard network.attention != nil, part.norms > 0, lattice.stride > 0,
            core.rows.count > lattice.firstRow, core.columns.count > lattice.firstColumn
        else { throw misfit("asks for tokens that do not exist") }
    }

    /// Encodes a picture to the distribution of its latents.
    ///
    /// - Parameters:
    ///   - image: `[n, height, width, 3]`, −1…1, the sides multiples of `config.factor`
    ///   - cancellation: checked between the encoder's blocks
    /// - Returns: mean and log-variance, each `[n, height / factor, width / factor, latentChannels]`
    /// - Throws: `InputError` when the shape does not fit the model, `ComputationCancelled`
    package func encode(
        _ image: Tensor,
        cancellation: Cancellation = Cancellation()
    ) throws -> (mean: Tensor, logVariance: Tensor) {
        let moments = try moments(of: image, cancellation)
        let c = config.latentChannels
        let range = Self.logVariances
        return (
            moments.columns(from: 0, count: c),
            moments.columns(from: c, count: c).map {
                min(max($0, range.lowerBound), range.upperBound)
            }
        )
    }

    /// The mode of the latent distribution, as the sampler takes it: the mean times the scaling factor.
    ///
    /// - Parameters: as of `encode`
    /// - Returns: `[n, height / factor, width / factor, latentChannels]`
    /// - Throws: as `encode`
    package func latent(
        of image: Tensor,
        cancellation: Cancellation = Cancellation()
    ) throws -> Tensor {
        latent(ofMoments: try moments(of: image, cancellation))
    }

    private func latent(ofMoments moments: Tensor) -> Tensor {
        let mean = moments.columns(from: 0, count: config.latentChannels)
        guard let normalisation = config.normalisation else { return mean * config.scalingFactor }
        return mean.mapChannels { x, channel in
            (x - normalisation.mean[channel]) * config.scalingFactor
                / normalisation.deviation[channel]
        }
    }

    private func moments(of image: Tensor, _ cancellation: Cancellation) throws -> Tensor {
        guard image.shape.count == 4, image.shape[3] == config.imageChannels, image.count > 0,
            image.shape[1] % config.factor == 0, image.shape[2] % config.factor == 0
        else {
            throw InputError(
                "image",
                "has the shape \(image.shape), the VAE needs [n, h, w, \(config.imageChannels)]",
                fix: "Give a picture whose sides are multiples of \(config.factor)"
            )
        }
        return try backend.evaluating([3] + image.shape) {
            backend.download(try loaded(encoder)(backend.upload(image), cancellation))
        }
    }
}

extension Tensor {
    /// Every number changed by a function of it and its channel.
    fileprivate func mapChannels(_ change: (Float, Int) -> Float) -> Tensor {
        let channels = shape[shape.count - 1]
        return Tensor(shape: shape) { out in
            withFloats { x in
                for i in out.indices { out[i] = change(x[i], i % channels) }
            }
        }
    }

    /// The columns `from ..< from + count` of the last axis.
    fileprivate func columns(from: Int, count: Int) -> Tensor {
        let width = shape[shape.count - 1]
        return Tensor(shape: shape.dropLast() + [count]) { out in
            withFloats { x in
                for i in out.indices { out[i] = x[i / count * width + from + i % count] }
            }
        }
    }
}

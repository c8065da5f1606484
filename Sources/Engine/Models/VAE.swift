/// The autoencoder of a model: latents to pictures and back.
package final class VAE {
    /// The shape of the network.
    package let config: VAEConfig
    private let backend: any Backend
    private let decoder: VAEDecoder
    private let encoder: VAEEncoder?
    /// Where the weights came from.
    package let origin: WeightCache.Origin

    /// Log-variances are clamped to this, as the reference does.
    private static let logVariances: ClosedRange<Float> = -30...20

    /// Reads the configuration and the weights, or maps the weights from `cache`; without the encoder's
    /// where `decoderOnly`. `wrapping` may put something between the network and its backend.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(
        model: Model,
        options: EngineOptions,
        decoderOnly: Bool,
        cache: WeightCache? = .usual,
        wrapping: (any Backend) -> any Backend = { $0 }
    ) throws {
        let config = try model.vaeConfig()
        let prepared = try model.prepare(
            .vae,
            part: decoderOnly ? "decoder" : nil,
            options: options,
            cache: cache,
            wrapping: wrapping
        ) { weights in
            (
                decoder: try VAEDecoder(weights, config: config),
                encoder: decoderOnly ? nil : try VAEEncoder(weights, config: config)
            )
        }
        self.config = config
        (decoder, encoder) = prepared.network
        (backend, origin) = (prepared.backend, prepared.origin)
    }

    /// Decodes a latent as the sampler leaves it: this call divides it by the scaling factor.
    ///
    /// - Parameters:
    ///   - latent: `[n, h, w, latentChannels]`
    ///   - cancellation: heeded between the decoder's blocks
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
            let scaled = backend.upload(latent.map { $0 / config.scalingFactor })
            return backend.download(try decoder(scaled, cancellation))
        }
    }

    /// Decodes a tile as a part of its picture.
    ///
    /// - Parameters:
    ///   - latent: `[1, h, w, latentChannels]`, the tile and its margins, as the sampler leaves it
    ///   - part: what is asked for
    ///   - keys: `[1, tokens, width]` each: tokens of the picture, for the attention; none takes the
    ///     latent's own
    ///   - cancellation: heeded between the decoder's blocks
    /// - Returns: `[1, factor · height, factor · width, 3]` of the tile, or what else is asked for
    /// - Throws: `InputError` when something does not fit the model or the tile, `ComputationCancelled`
    package func decode(
        _ latent: Tensor,
        as part: PicturePart,
        keys: [Tensor],
        cancellation: Cancellation = Cancellation()
    ) throws -> PartResult {
        try check(part, of: latent, keys, network: config.decoder)
        let course = NormCourse(
            groups: config.normGroups,
            statistics: part.statistics,
            corrections: part.corrections,
            norms: part.norms
        )
        let margins = part.margins
        let lattice = part.tokens
        let tokens = keys.reduce(0) { $0 + $1.shape[1] }
        let order =
            [1] + latent.shape + [margins.top, margins.left, margins.bottom, margins.right]
            + [part.norms, part.statistics.count, tokens]
            + (lattice.map { [$0.stride, $0.firstRow, $0.firstColumn] } ?? [])
        backend.normCourse = course
        defer { backend.normCourse = nil }
        let result = try backend.evaluating(order) {
            let scaled = backend.upload(latent.map { $0 / config.scalingFactor })
            let keys =
                keys.isEmpty ? nil : backend.upload(Tensor(chaining: keys, width: config.width))
            let result = try decoder.part(
                scaled,
                part,
                course: course,
                keys: keys,
                reach: config.decoderReach,
                cancellation
            )
            return result.map(backend.download)
        }
        return PartResult(tensor: result, statistics: course.seen)
    }

    /// Refuses what could not come from a coordinator that has this model.
    private func check(
        _ part: PicturePart,
        of latent: Tensor,
        _ keys: [Tensor],
        network: TiledNetwork
    ) throws(InputError) {
        func misfit(_ what: String) -> InputError {
            InputError("part", what, fix: "Use the same version of Tessera on both sides")
        }
        guard latent.shape.count == 4, latent.shape[0] == 1,
            latent.shape[3] == config.latentChannels, latent.count > 0
        else { throw misfit("has a latent of the shape \(latent.shape)") }
        let core = part.margins.core(height: latent.shape[1], width: latent.shape[2])
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
        guard sound else { throw misfit("has statistics that are no numbers") }
        guard
            keys.allSatisfy({
                $0.shape.count == 3 && $0.shape[0] == 1 && $0.shape[2] == config.width
            }), keys.isEmpty || network.attention != nil
        else { throw misfit("has keys that do not fit the attention") }
        guard let lattice = part.tokens else { return }
        guard network.attention != nil, part.norms > 0, lattice.stride > 0,
            core.rows.count > lattice.firstRow, core.columns.count > lattice.firstColumn
        else { throw misfit("asks for tokens that there are not") }
    }

    /// Encodes a picture; the sampler's latent is a draw from this times the scaling factor.
    ///
    /// - Parameter image: `[n, height, width, 3]`, −1…1, the sides multiples of `config.factor`
    /// - Returns: mean and log-variance, each `[n, height / factor, width / factor, latentChannels]`
    /// - Throws: `InputError` when the shape does not fit the model
    package func encode(_ image: Tensor) throws -> (mean: Tensor, logVariance: Tensor) {
        guard let encoder else { preconditionFailure("this VAE was read with decoderOnly") }
        guard image.shape.count == 4, image.shape[3] == config.imageChannels, image.count > 0,
            image.shape[1] % config.factor == 0, image.shape[2] % config.factor == 0
        else {
            throw InputError(
                "image",
                "has the shape \(image.shape), the VAE needs [n, h, w, \(config.imageChannels)]",
                fix: "Give a picture whose sides are multiples of \(config.factor)"
            )
        }
        let moments = backend.evaluating(image.shape) {
            backend.download(encoder(backend.upload(image)))
        }
        let c = config.latentChannels
        let range = Self.logVariances
        return (
            moments.columns(from: 0, count: c),
            moments.columns(from: c, count: c).map {
                min(max($0, range.lowerBound), range.upperBound)
            }
        )
    }
}

extension Tensor {
    /// Tokens `[1, n, width]`, one after the other.
    fileprivate init(chaining parts: [Tensor], width: Int) {
        self.init(shape: [1, parts.reduce(0) { $0 + $1.shape[1] }, width]) { out in
            var at = 0
            for part in parts {
                part.withFloats { from in
                    let rest = UnsafeMutableBufferPointer(rebasing: out[at..<at + from.count])
                    _ = rest.update(fromContentsOf: from)
                    at += from.count
                }
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

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

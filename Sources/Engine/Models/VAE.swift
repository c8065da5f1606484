/// The autoencoder of a model: latents to pictures and back.
package final class VAE {
    /// The shape of the network.
    package let config: VAEConfig
    let backend: any Backend
    let decoder: VAEDecoder?
    let encoder: VAEEncoder?
    /// Tiles that are kept between evaluations.
    let states: TileStates
    /// Where the weights came from.
    package let origin: WeightCache.Origin

    /// Log-variances are clamped to this range, as in the reference implementation.
    private static let logVariances: ClosedRange<Float> = -30...20

    /// Reads the configuration and the weights of the given halves, or maps the weights from `cache`. `wrapping` may
    /// wrap the backend. Between evaluations, at most `tileBytes` of tiles are kept in memory, the rest on disk.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(
        model: Model,
        options: EngineOptions,
        halves: Set<AutoencoderHalf>,
        cache: WeightCache? = .standard,
        tileBytes: Int = TileStates.bytes,
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
        states = TileStates(bytes: tileBytes)
        (decoder, encoder) = prepared.network
        (backend, origin) = (prepared.backend, prepared.origin)
    }

    func loaded<Half>(_ half: Half?) -> Half {
        guard let half else { preconditionFailure("this half of the VAE was not read") }
        return half
    }

    /// Decodes a latent as the sampler returns it; this call divides it by the scaling factor.
    ///
    /// - Parameters:
    ///   - latent: `[n, h, w, latentChannels]`
    ///   - cancellation: checked between the decoder's blocks
    /// - Returns: `[n, factor · h, factor · w, 3]`, about −1…1
    /// - Throws: `InputError` if the shape does not fit the model, `ComputationCancelled`
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

    /// Uploads a latent as the decoder expects it.
    func uploaded(latent: Tensor) -> Activation {
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

    /// Encodes a picture to the distribution of its latents.
    ///
    /// - Parameters:
    ///   - image: `[n, height, width, 3]`, −1…1, with sides that are multiples of `config.factor`
    ///   - cancellation: checked between the encoder's blocks
    /// - Returns: mean and log-variance, each `[n, height / factor, width / factor, latentChannels]`
    /// - Throws: `InputError` if the shape does not fit the model, `ComputationCancelled`
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

    /// The mode of the latent distribution in the form that samplers use: the mean times the scaling factor.
    ///
    /// - Parameters: as in `encode`
    /// - Returns: `[n, height / factor, width / factor, latentChannels]`
    /// - Throws: as `encode`
    package func latent(
        of image: Tensor,
        cancellation: Cancellation = Cancellation()
    ) throws -> Tensor {
        latent(ofMoments: try moments(of: image, cancellation))
    }

    func latent(ofMoments moments: Tensor) -> Tensor {
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
    /// Applies a function of the value and its channel to every element.
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

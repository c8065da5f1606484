import Engine
import Protocol
import Synchronization

/// The UNet of a model, and the halves of its VAE once a tile is to be decoded or encoded. Never the
/// text encoders: prompts come as embeddings.
package final class EngineModelHost: ModelHost {
    private struct Networks {
        let unet: UNet
        var halves: [AutoencoderHalf: VAE] = [:]
        /// In float32, once the others failed.
        var exactHalves: [AutoencoderHalf: VAE] = [:]
    }

    package let identity: ModelIdentity
    private let model: Model
    private let options: EngineOptions
    private let networks: Mutex<Networks>

    /// Reads the UNet, and all files once for the digest.
    ///
    /// - Throws: `InputError` for a missing or unusable file, or options that this build lacks
    package init(model: Model, options: EngineOptions) throws {
        identity = try ModelIdentity(of: model)
        self.model = model
        self.options = options
        networks = Mutex(Networks(unet: try UNet(model: model, options: options)))
    }

    /// Where the UNet's weights came from.
    package var origin: WeightCache.Origin { networks.withLock { $0.unet.origin } }
    package var backend: String { options.backend.rawValue }
    package var precision: String { options.precision.rawValue }
    package var threads: Int { options.threads }

    package func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        cancellation: Cancellation
    ) throws -> Tensor {
        try networks.withLock { networks in
            // No picture is decoded or encoded between views: tiles that are left went elsewhere.
            for vae in networks.halves.values { vae.forgetTiles() }
            for vae in networks.exactHalves.values { vae.forgetTiles() }
            return try networks.unet.predict(
                latents,
                timestep: timestep,
                context: context,
                pooled: pooled,
                timeIDs: timeIDs,
                cancellation: cancellation
            )
        }
    }

    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        keys: [Tensor],
        cancellation: Cancellation
    ) throws -> PartResult {
        try autoencoding(half) { vae in
            if let part {
                return try vae.evaluate(
                    half,
                    input,
                    as: part,
                    keys: keys,
                    cancellation: cancellation
                )
            }
            let whole =
                switch half {
                case .decoder: try vae.decode(input, cancellation: cancellation)
                case .encoder: try vae.latent(of: input, cancellation: cancellation)
                }
            return PartResult(tensor: whole)
        }
    }

    /// Evaluates a half, and once more in float32 where bfloat16 gave what is no number.
    private func autoencoding(
        _ half: AutoencoderHalf,
        _ evaluate: (VAE) throws -> PartResult
    ) throws -> PartResult {
        try networks.withLock { networks in
            let vae =
                try networks.halves[half] ?? VAE(model: model, options: options, halves: [half])
            networks.halves[half] = vae
            let result = try evaluate(vae)
            guard options.precision != .f32, !result.isFinite else { return result }
            let exact = EngineOptions(
                backend: options.backend,
                precision: .f32,
                threads: options.threads
            )
            let other =
                try networks.exactHalves[half]
                ?? VAE(model: model, options: exact, halves: [half])
            networks.exactHalves[half] = other
            return try evaluate(other)
        }
    }
}

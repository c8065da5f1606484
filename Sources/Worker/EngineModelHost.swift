import Engine
import Protocol
import Synchronization

/// The UNet of a model, and its VAE's decoder once a tile is to be decoded. Never the text
/// encoders: prompts come as embeddings.
package final class EngineModelHost: ModelHost {
    private struct Networks {
        let unet: UNet
        var vae: VAE?
        /// In float32, once the other one failed.
        var exactVAE: VAE?
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
            try networks.unet.predict(
                latents,
                timestep: timestep,
                context: context,
                pooled: pooled,
                timeIDs: timeIDs,
                cancellation: cancellation
            )
        }
    }

    package func decode(_ latent: Tensor, cancellation: Cancellation) throws -> Tensor {
        let result = try decoding { vae in
            PartResult(tensor: try vae.decode(latent, cancellation: cancellation))
        }
        guard let picture = result.tensor else { preconditionFailure("a decode without a picture") }
        return picture
    }

    package func decode(
        _ latent: Tensor,
        as part: PicturePart,
        keys: [Tensor],
        cancellation: Cancellation
    ) throws -> PartResult {
        try decoding { vae in
            try vae.decode(latent, as: part, keys: keys, cancellation: cancellation)
        }
    }

    /// Decodes, and once more in float32 where bfloat16 gave what is no number.
    private func decoding(_ decode: (VAE) throws -> PartResult) throws -> PartResult {
        try networks.withLock { networks in
            let vae =
                try networks.vae ?? VAE(model: model, options: options, decoderOnly: true)
            networks.vae = vae
            let result = try decode(vae)
            guard options.precision != .f32, !result.isFinite else { return result }
            let exact = EngineOptions(
                backend: options.backend,
                precision: .f32,
                threads: options.threads
            )
            let other =
                try networks.exactVAE ?? VAE(model: model, options: exact, decoderOnly: true)
            networks.exactVAE = other
            return try decode(other)
        }
    }
}

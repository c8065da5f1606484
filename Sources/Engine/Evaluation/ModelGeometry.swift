/// What planning needs to know about a model, without its weights.
package struct ModelGeometry: Equatable, Sendable {
    /// Side of the latents that the UNet was trained on, in latent pixels.
    package let nativeLatentSide: Int
    /// Pixels per latent pixel along each side.
    package let vaeFactor: Int
    package let latentChannels: Int
    /// Whether views carry SDXL's size and crop ids.
    package let usesTimeIDs: Bool
    /// Whether the model is guidance-distilled: it takes the scale as an input, and no negative prompt.
    package let embedsGuidance: Bool
    /// What the network takes in addition to the latent.
    package var pictureInput = PictureInput.none
    /// The VAE's scaling factor.
    package var latentScale: Float = 1
    /// Share of the training schedule, from its noisy end, after which a refiner takes over; nil without a refiner.
    package var refinerStart: Double?
    /// The VAE's decoder, for tiled evaluation.
    package let decoder: TiledNetwork
    /// The VAE's encoder, for tiled evaluation.
    package let encoder: TiledNetwork

    package init(
        nativeLatentSide: Int,
        vaeFactor: Int,
        latentChannels: Int,
        usesTimeIDs: Bool,
        embedsGuidance: Bool = false,
        decoder: TiledNetwork = .pointwise(.decoder),
        encoder: TiledNetwork = .pointwise(.encoder)
    ) {
        (self.decoder, self.encoder) = (decoder, encoder)
        self.nativeLatentSide = nativeLatentSide
        self.vaeFactor = vaeFactor
        self.latentChannels = latentChannels
        (self.usesTimeIDs, self.embedsGuidance) = (usesTimeIDs, embedsGuidance)
    }

    /// Whether the refiner predicts at a timestep of a schedule of `trainTimesteps`.
    package func isRefined(at timestep: Float, of trainTimesteps: Int) -> Bool {
        guard let refinerStart else { return false }
        let all = Double(trainTimesteps)
        return Double(timestep) < (all - refinerStart * all).rounded(.toNearestOrEven)
    }

    /// Input channels of the network in addition to those of the latent.
    package var pictureChannels: Int { pictureInput.channels(latent: latentChannels) }

    /// Native side of the model's pictures, in pixels.
    package var nativeSide: Int { nativeLatentSide * vaeFactor }

    /// What tiled evaluation needs to know about half of the VAE.
    package func network(_ half: AutoencoderHalf) -> TiledNetwork {
        switch half {
        case .decoder: decoder
        case .encoder: encoder
        }
    }
}

/// What planning needs to know about a model; no weights.
package struct ModelGeometry: Equatable, Sendable {
    /// Side of the latents that the UNet was trained on, in latent pixels.
    package let nativeLatentSide: Int
    /// Pixels per latent pixel along each side.
    package let vaeFactor: Int
    package let latentChannels: Int
    /// Whether views carry SDXL's size and crop ids.
    package let usesTimeIDs: Bool
    /// The VAE's decoder, for tiled evaluation.
    package let decoder: TiledNetwork
    /// Its encoder, likewise.
    package let encoder: TiledNetwork

    package init(
        nativeLatentSide: Int,
        vaeFactor: Int,
        latentChannels: Int,
        usesTimeIDs: Bool,
        decoder: TiledNetwork = .pointwise(.decoder),
        encoder: TiledNetwork = .pointwise(.encoder)
    ) {
        (self.decoder, self.encoder) = (decoder, encoder)
        self.nativeLatentSide = nativeLatentSide
        self.vaeFactor = vaeFactor
        self.latentChannels = latentChannels
        self.usesTimeIDs = usesTimeIDs
    }

    /// Native side of the model's pictures, in pixels.
    package var nativeSide: Int { nativeLatentSide * vaeFactor }

    /// What tiled evaluation needs to know about a half of the VAE.
    package func network(_ half: AutoencoderHalf) -> TiledNetwork {
        switch half {
        case .decoder: decoder
        case .encoder: encoder
        }
    }
}

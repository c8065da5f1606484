/// What planning needs to know of a model; no weights.
package struct ModelGeometry: Equatable, Sendable {
    /// Side of the latents that the UNet was trained on.
    package let nativeLatentSide: Int
    /// Pixels per latent pixel along a side.
    package let vaeFactor: Int
    package let latentChannels: Int
    /// Whether views carry SDXL's size and crop ids.
    package let usesTimeIDs: Bool
    /// The VAE's decoder, as it works in tiles.
    package let decoder: TiledNetwork
    /// Its encoder.
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

    /// Side of the pictures that the model makes on its own, in pixels.
    package var nativeSide: Int { nativeLatentSide * vaeFactor }

    /// What tiled evaluation needs to know of a half of the VAE.
    package func network(_ half: AutoencoderHalf) -> TiledNetwork {
        switch half {
        case .decoder: decoder
        case .encoder: encoder
        }
    }
}

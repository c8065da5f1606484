import Engine

extension TilePlan {
    /// How a latent is decoded with a margin around it, which is cropped from the picture.
    ///
    /// - Parameters:
    ///   - latent: size of the latent
    ///   - margin: latent pixels beyond each edge
    ///   - model: the model whose decoder is used
    package init(decoding latent: Extent, margin: Int, model: ModelGeometry) {
        self.init(
            latent: Extent(height: latent.height + 2 * margin, width: latent.width + 2 * margin),
            factor: model.vaeFactor,
            network: model.decoder
        )
    }
}

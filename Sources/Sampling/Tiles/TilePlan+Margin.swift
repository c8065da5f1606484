import Engine

extension TilePlan {
    /// How a latent is decoded with a margin around it, which is cut off the picture.
    ///
    /// - Parameters:
    ///   - latent: size of the latent
    ///   - margin: latent pixels beyond each edge
    ///   - model: whose decoder it is
    package init(decoding latent: Extent, margin: Int, model: ModelGeometry) {
        self.init(
            latent: Extent(height: latent.height + 2 * margin, width: latent.width + 2 * margin),
            factor: model.vaeFactor,
            network: model.decoder
        )
    }
}

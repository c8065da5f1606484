/// Stable Diffusion 1, 2 and XL: CLIP text encoders, a UNet with cross-attention, AutoencoderKL. Their configurations describe
/// the differences.
struct StableDiffusion: ModelArchitecture {
    let model: Model

    func geometry() throws -> ModelGeometry {
        let (unet, vae) = (try model.unetConfig(), try model.vaeConfig())
        var geometry = ModelGeometry(
            nativeLatentSide: unet.sampleSize,
            vaeFactor: vae.factor,
            latentChannels: vae.latentChannels,
            usesTimeIDs: unet.needsTimeIDs,
            embedsGuidance: unet.guidanceWidth != nil,
            decoder: vae.decoder,
            encoder: vae.encoder
        )
        geometry.pictureInput =
            PictureInput(inputs: unet.inChannels, latent: vae.latentChannels) ?? .none
        geometry.latentScale = vae.scalingFactor
        geometry.refinerStart = model.options.refiner?.start
        return geometry
    }

    func embeddings(
        of prompts: PromptPair,
        guided: Bool,
        clipSkip: Int?,
        options: EngineOptions
    ) throws -> [(positives: [Embedding], negative: Embedding?)] {
        let encoder = try PromptEncoder(
            model: model,
            options: options,
            prompts: prompts,
            clipSkip: clipSkip
        )
        return try prompts.turns.map { turn in
            (
                try turn.positives.map { try encoder.encode($0, chunks: prompts.count) },
                guided
                    ? try turn.negative.map {
                        try encoder.encodeNegative(
                            $0,
                            isGiven: prompts.hasNegative,
                            chunks: prompts.count
                        )
                    } : nil
            )
        }
    }

    func denoiser(_ options: EngineOptions) throws -> any Denoiser {
        try UNet(model: model, options: options)
    }

    func autoencoder(_ half: AutoencoderHalf, _ options: EngineOptions) throws -> VAE {
        try VAE(model: model, options: options, halves: [half])
    }
}

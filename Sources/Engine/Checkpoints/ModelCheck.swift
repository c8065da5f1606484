/// What a process needs from a model in addition to the UNet and the VAE's decoder.
package struct ModelNeeds: Sendable {
    /// Whether pictures are encoded; nil if that is not known yet, in which case the encoder is checked if
    /// there is one.
    package var encoder: Bool?
    /// Whether prompts are encoded.
    package var texts: Bool

    package init(encoder: Bool?, texts: Bool) {
        (self.encoder, self.texts) = (encoder, texts)
    }
}

extension Model {
    /// The weights that a process reads, by component.
    package typealias UsedWeights = [(component: Component, names: [String])]

    /// Checks that the parts of a model fit together and, from the files' headers, that every weight exists
    /// in the shape that its configuration requires. Reads no weights: it takes milliseconds.
    ///
    /// - Returns: the weights that are needed
    /// - Throws: `InputError` naming the file or the option at fault
    @discardableResult
    package func check(_ needs: ModelNeeds) throws -> UsedWeights {
        let (unet, vae) = (try unetConfig(), try vaeConfig())
        try checkChannels(unet, vae)
        let texts = needs.texts ? family.textEncoders : []
        let configs = try texts.map { try textConfig($0) }
        if needs.texts { try checkPrompts(unet, configs) }
        var used: UsedWeights = []
        used.append((.unet, try describe(.unet) { _ = try UNetNetwork($0, config: unet) }))
        let hasEncoder = try table(.vae).names.contains { $0.hasPrefix("encoder.") }
        let encodes = needs.encoder ?? hasEncoder
        let autoencoder = try describe(.vae, isWhole: encodes) { weights in
            _ = try VAEDecoder(weights, config: vae)
            if encodes { _ = try VAEEncoder(weights, config: vae) }
        }
        used.append((.vae, autoencoder))
        for (component, config) in zip(texts, configs) {
            let names = try describe(component) { _ = try CLIPTextNetwork($0, config: config) }
            used.append((component, names))
        }
        _ = try refiner?.checkAsRefiner(texts: needs.texts, latentChannels: vae.latentChannels)
        return used
    }

    /// The same for a refiner, which works on the latents of another model.
    func checkAsRefiner(texts: Bool, latentChannels: Int) throws -> UsedWeights {
        let unet = try unetConfig()
        guard unet.inChannels == latentChannels, unet.outChannels == latentChannels else {
            throw InputError(
                "\(try configPlace(.unet)): in_channels",
                "it is \(unet.inChannels), but the model's latents have \(latentChannels) channels",
                fix: "Use the refiner of Stable Diffusion XL"
            )
        }
        var used: UsedWeights = []
        used.append((.unet, try describe(.unet) { _ = try UNetNetwork($0, config: unet) }))
        guard texts else { return used }
        let text = try textConfig(.textEncoder2)
        try checkPrompts(unet, [text])
        let names = try describe(.textEncoder2) { _ = try CLIPTextNetwork($0, config: text) }
        used.append((.textEncoder2, names))
        return used
    }

    /// Builds a network from the headers alone.
    private func describe(
        _ component: Component,
        isWhole: Bool = true,
        _ make: (ModuleWeights) throws -> Void
    ) throws -> [String] {
        let reader = try weights(component)
        let backend = try EngineOptions().makeBackend()
        try make(ModuleWeights(reader: reader, backend: backend, isDescription: true))
        if isWhole { try reader.finish() }
        return reader.used
    }

    /// Rejects a UNet and a VAE that do not belong together, and UNets that need other inputs.
    private func checkChannels(_ unet: UNetConfig, _ vae: VAEConfig) throws(InputError) {
        // The weights reveal it even if the configuration was copied from a plain model.
        let stored = try table(.unet).shape("conv_in.weight") ?? []
        let configured = "\(try configPlace(.unet)): in_channels"
        var counts = [(unet.inChannels, configured)]
        if stored.count == 4 {
            counts.append((stored[1], try table(.unet).place(of: "conv_in.weight")))
        }
        for (count, place) in counts {
            guard let kind = OriginalKinds.specialInputs[count] else { continue }
            throw InputError(
                place,
                "it belongs to a model \(kind): the UNet takes \(count) channels, not "
                    + "\(vae.latentChannels)",
                fix: "Use a text-to-image model"
            )
        }
        let kinds = counts.map { PictureInput(inputs: $0.0, latent: vae.latentChannels) }
        if let last = counts.last, let kind = kinds.last ?? nil, last.0 != unet.inChannels {
            throw InputError(
                configured,
                "it is \(unet.inChannels), but the weights take \(last.0) channels",
                fix: "Use the configuration of the model itself"
                    + (kind == .none ? "" : ", which \(kind.text)")
            )
        }
        let (inputs, outputs) = (unet.inChannels, unet.outChannels)
        for (key, count, isRight) in [
            ("in_channels", inputs, kinds[0] != nil),
            ("out_channels", outputs, outputs == vae.latentChannels),
        ] where !isRight {
            throw InputError(
                "\(try configPlace(.unet)): \(key)",
                "it is \(count), but latents of the VAE have \(vae.latentChannels) channels",
                fix: "Use a UNet and a VAE of one model"
            )
        }
        if kinds[0] == .editing, vae.normalisation != nil {
            throw InputError(
                "\(try configPlace(.vae)): latents_mean",
                "models that edit pictures are not supported with it",
                fix: "Use the model's own VAE"
            )
        }
        guard unet.needsTimeIDs == family.isXL else {
            throw InputError(
                "\(try configPlace(.unet)): addition_embed_type",
                unet.needsTimeIDs
                    ? "it belongs to Stable Diffusion XL, but the model is \(family.name)"
                    : "it is missing, and the model is \(family.name)",
                fix: "Use the model_index.json and the UNet of one model"
            )
        }
    }

    /// Rejects text encoders whose embeddings do not have the width that the UNet expects.
    private func checkPrompts(_ unet: UNetConfig, _ texts: [CLIPConfig]) throws(InputError) {
        let width = texts.reduce(0) { $0 + $1.width }
        guard width == unet.crossAttentionDim else {
            throw InputError(
                "\(try configPlace(.unet)): cross_attention_dim",
                "it is \(unet.crossAttentionDim), but the text encoders make prompts of \(width)",
                fix: "Use a UNet and text encoders of one model"
            )
        }
        guard let pooled = unet.pooledWidth, let own = texts.last?.projection, pooled != own
        else { return }
        throw InputError(
            "\(try configPlace(.unet)): projection_class_embeddings_input_dim",
            "it leaves \(pooled) for the pooled prompt, of which text_encoder_2 makes \(own)",
            fix: "Use a UNet and text encoders of one model"
        )
    }
}

/// Kinds of files in the original layout other than supported models, and the names that identify them.
enum OriginalKinds {
    /// Text encoders by the prefixes of their tensors' names.
    static let texts: [(prefix: String, component: Component, kind: OriginalText.Kind)] = [
        ("cond_stage_model.transformer.", .textEncoder, .transformers),
        ("cond_stage_model.model.", .textEncoder, .openCLIP),
        ("conditioner.embedders.0.transformer.", .textEncoder, .transformers),
        ("conditioner.embedders.1.model.", .textEncoder2, .openCLIP),
        (refinersText, .textEncoder2, .openCLIP),
    ]

    /// Prefix of the only text encoder of SDXL's refiner, which is the second encoder of the base model.
    private static let refinersText = "conditioner.embedders.0.model."

    /// UNets that take more input channels than a latent has, by number of channels.
    static let specialInputs = [
        5: "that follows a depth map", 7: "that enlarges pictures",
    ]

    /// The prefix of the names of a component's tensors.
    static func prefix(of component: Component, _ family: ModelFamily) -> String {
        switch (component, family) {
        case (.unet, _): OriginalUNet.prefix
        case (.vae, _): OriginalVAE.prefix
        case (.textEncoder, .sd1): "cond_stage_model.transformer."
        case (.textEncoder, .sd2): "cond_stage_model.model."
        case (.textEncoder, .sdxl), (.textEncoder, .sdxlRefiner):
            "conditioner.embedders.0.transformer."
        case (.textEncoder2, .sdxlRefiner): refinersText
        case (.textEncoder2, _): "conditioner.embedders.1.model."
        }
    }

    /// Other contents of safetensors files, by a substring of a tensor's name. The first match
    /// decides what the file is.
    private static let others: [(part: String, kind: String, remedy: String)] = [
        ("joint_blocks.", "Stable Diffusion 3", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("double_blocks.", "Flux", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("single_transformer_blocks.", "Flux", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("control_model.", "a ControlNet", "Use a text-to-image model"),
        ("controlnet_cond_embedding.", "a ControlNet", "Use a text-to-image model"),
        ("input_hint_block.", "a ControlNet", "Use a text-to-image model"),
        ("zero_convs.", "a ControlNet", "Use a text-to-image model"),
        ("motion_modules.", "a motion module (AnimateDiff)", "Use a text-to-image model"),
        (
            "edm_vpred", "an EDM model that predicts v (CosXL)",
            "Playground 2.5 is the EDM model that is supported"
        ),
        ("time_stack.", "a video model", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("string_to_param", "a textual inversion", "Give it with --embedding beside a model"),
        ("emb_params", "a textual inversion", "Give it with --embedding beside a model"),
    ]

    /// Whether a file is a LoRA or another adapter.
    static func isAdapter(_ file: SafeTensors) -> Bool {
        file.names.contains(where: AdapterRole.isOfAdapter)
    }

    /// Rejects files of other architectures.
    ///
    /// - Throws: `InputError` naming what the file is
    static func refuseForeign(_ file: SafeTensors) throws(InputError) {
        let names = file.names
        guard
            let other = others.first(where: { other in names.contains { $0.contains(other.part) } })
        else { return }
        throw InputError(file.path, "it is \(other.kind)", fix: other.remedy)
    }

    /// Rejects files that are not models.
    ///
    /// - Throws: `InputError` naming what the file is
    static func refuseOthers(_ file: SafeTensors) throws(InputError) {
        let names = file.names
        func has(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
        func refusal(_ kind: String, _ remedy: String) -> InputError {
            InputError(file.path, "it is \(kind)", fix: remedy)
        }
        if isAdapter(file) { throw refusal("a LoRA", "Give it with --lora beside a model") }
        try refuseForeign(file)
        if has("\(OriginalUNet.prefix)label_emb."), has("cond_stage_model.") {
            throw refusal(
                "a Stable Diffusion 2 that also takes pictures or noise levels (unCLIP, upscaler)",
                "Use a text-to-image model"
            )
        }
        let isModel =
            has(OriginalUNet.prefix) || has(OriginalVAE.prefix) || texts.contains { has($0.prefix) }
        guard !isModel else { return }
        for (part, kind) in [
            ("decoder.layers.", "a tiny autoencoder (TAESD)"),
            ("decoder.up.", "an autoencoder alone"),
            ("decoder.up_blocks.", "an autoencoder alone"),
            ("down_blocks.", "one part of a model in Diffusers layout"),
            ("text_model.", "a text encoder alone"), ("input_blocks.", "a UNet alone"),
        ] where names.contains(where: { $0.contains(part) }) {
            throw refusal(
                kind,
                kind.hasPrefix("an autoencoder")
                    ? "Give it with --vae beside a model"
                    : "Name a whole model, as a folder or a file"
            )
        }
        let first = names.first.map { "its first tensor is '\($0.prefix(80))'" } ?? "it is empty"
        throw refusal(
            "not a known model; \(first)",
            "Only Stable Diffusion 1, 2 and XL are supported"
        )
    }
}

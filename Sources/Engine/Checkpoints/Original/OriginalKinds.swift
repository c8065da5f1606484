/// Kinds of files in the original layout other than supported models, and the names that identify them.
enum OriginalKinds {
    /// Text encoders by the prefixes of their names.
    static let texts: [(prefix: String, component: Component, kind: OriginalText.Kind)] = [
        ("cond_stage_model.transformer.", .textEncoder, .transformers),
        ("cond_stage_model.model.", .textEncoder, .openCLIP),
        ("conditioner.embedders.0.transformer.", .textEncoder, .transformers),
        ("conditioner.embedders.1.model.", .textEncoder2, .openCLIP),
    ]

    /// UNets with other input channels than a latent's, by number of channels.
    static let specialInputs = [
        5: "that follows a depth map", 7: "that enlarges pictures", 8: "that edits pictures",
        9: "that fills in pictures (inpainting)",
    ]

    /// The prefix of a component's names.
    static func prefix(of component: Component, _ family: ModelFamily) -> String {
        switch (component, family) {
        case (.unet, _): OriginalUNet.prefix
        case (.vae, _): OriginalVAE.prefix
        case (.textEncoder, .sd1): "cond_stage_model.transformer."
        case (.textEncoder, .sd2): "cond_stage_model.model."
        case (.textEncoder, .sdxl): "conditioner.embedders.0.transformer."
        case (.textEncoder2, _): "conditioner.embedders.1.model."
        }
    }

    /// Other contents of safetensors files, by a substring of a name. The first match names
    /// the file.
    private static let others: [(part: String, kind: String, remedy: String)] = [
        ("joint_blocks.", "Stable Diffusion 3", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("double_blocks.", "Flux", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("single_transformer_blocks.", "Flux", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("control_model.", "a ControlNet", "Use a text-to-image model"),
        ("controlnet_cond_embedding.", "a ControlNet", "Use a text-to-image model"),
        ("input_hint_block.", "a ControlNet", "Use a text-to-image model"),
        ("edm_mean", "an EDM model", "Only epsilon and v prediction are supported"),
        ("edm_vpred", "an EDM model", "Only epsilon and v prediction are supported"),
        ("time_stack.", "a video model", "Only Stable Diffusion 1, 2 and XL are supported"),
        ("string_to_param", "a textual inversion", "Give it with --embedding beside a model"),
        ("emb_params", "a textual inversion", "Give it with --embedding beside a model"),
    ]

    /// Whether a file is a LoRA or another adapter.
    static func isAdapter(_ file: SafeTensors) -> Bool {
        file.names.contains(where: AdapterRole.isOfAdapter)
    }

    /// Rejects files that are something else.
    ///
    /// - Throws: `InputError` naming what the file is
    static func refuseOthers(_ file: SafeTensors) throws(InputError) {
        let names = file.names
        func has(_ prefix: String) -> Bool { names.contains { $0.hasPrefix(prefix) } }
        func refusal(_ kind: String, _ remedy: String) -> InputError {
            InputError(file.path, "it is \(kind)", fix: remedy)
        }
        if isAdapter(file) { throw refusal("a LoRA", "Give it with --lora beside a model") }
        if let other = others.first(where: { other in names.contains { $0.contains(other.part) } })
        {
            throw refusal(other.kind, other.remedy)
        }
        if has("conditioner.embedders.0.model."), !has("conditioner.embedders.1.") {
            throw refusal("the refiner of Stable Diffusion XL", "Use the base model")
        }
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
            ("down_blocks.", "one part of a model in Diffusers layout"),
            ("decoder.up.", "an autoencoder alone"),
            ("text_model.", "a text encoder alone"), ("input_blocks.", "a UNet alone"),
        ] where names.contains(where: { $0.contains(part) }) {
            throw refusal(kind, "Name a whole model, as a folder or a file")
        }
        let first = names.first.map { "its first tensor is '\($0.prefix(80))'" } ?? "it is empty"
        throw refusal(
            "not a known model; \(first)",
            "Only Stable Diffusion 1, 2 and XL are supported"
        )
    }
}

/// Known files that are not adapters for these models: those for other models, and those that are something else.
/// Without this table their keys would merely be "unknown".
enum AdapterDialect {
    /// By a lower-case substring of a key; the first match names the file.
    private static let known: [(part: String, name: String)] = [
        ("t5xxl", "LoRA for a model with a T5 text encoder (Stable Diffusion 3, Flux)"),
        ("lllite_", "ControlNet-LLLite"),
        ("image_proj", "IP-Adapter"), ("ip_adapter", "IP-Adapter"),
        ("motion_modules", "motion LoRA of AnimateDiff"),
        ("temporal_transformer", "motion LoRA of AnimateDiff"),
        ("lora_controlnet", "Control-LoRA"), ("input_hint_block", "Control-LoRA"),
        ("controlnet_cond_embedding", "Control-LoRA"),
        (".processor.qkv_lora", "LoRA for Flux (XLabs)"),
        (".processor.proj_lora", "LoRA for Flux (XLabs)"),
        ("double_blocks", "LoRA for Flux"), ("single_blocks", "LoRA for Flux"),
        ("single_transformer_blocks", "LoRA for Flux"),
        ("joint_blocks", "LoRA for Stable Diffusion 3"),
        ("lora_prior_", "LoRA for Stable Cascade"),
        ("lora_te3_", "LoRA for a model with a T5 text encoder (Stable Diffusion 3, Flux)"),
        ("text_encoder_3", "LoRA for a model with a T5 text encoder (Stable Diffusion 3, Flux)"),
        ("lora_transformer_", "LoRA for a transformer model (Stable Diffusion 3, Flux, PixArt)"),
        (
            "transformer.transformer_blocks",
            "LoRA for a transformer model (Stable Diffusion 3, Flux)"
        ),
        ("diffusion_model.layers.", "LoRA for a transformer model (Lumina, Z-Image)"),
        ("diffusion_model.blocks.", "LoRA for a transformer or video model (Wan and the like)"),
        ("lora_unet__blocks", "LoRA for a transformer or video model (Wan and the like)"),
        ("lora_unet_blocks", "LoRA for a transformer or video model (Wan and the like)"),
        ("lycoris_blocks", "LoRA for a transformer or video model (Wan and the like)"),
        ("transformer.blocks.", "LoRA for a transformer or video model (Wan and the like)"),
        ("transformer.", "LoRA for a transformer model"),
        ("resblocks", "LoRA with OpenCLIP's names of a text encoder"),
        ("string_to_param", "textual inversion, which is for --embedding"),
        ("emb_params", "textual inversion, which is for --embedding"),
    ]

    /// What a key reveals about its file; nil for an unrecognised key.
    static func name(of key: String) -> String? {
        let key = key.lowercased()
        // In Stable Diffusion, the name of a block comes before this.
        if key.hasPrefix("transformer_blocks.") {
            return "LoRA for a transformer model (Qwen-Image and the like)"
        }
        return known.first { key.contains($0.part) }?.name
    }

    /// The error for a key, or for a module that the model does not have; nil for an unrecognised one.
    static func refusal(_ place: String, _ key: String) -> InputError? {
        name(of: key).map { name in
            InputError(
                "\(place): \(key.prefix(120))",
                "this key belongs to an unsupported kind of file: \(name)",
                fix: "Use a LoRA for Stable Diffusion 1, 2 or XL with kohya's or Diffusers' names"
            )
        }
    }
}

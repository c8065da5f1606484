/// Flags of other programs and their equivalents here. Pure.
enum ForeignFlags {
    /// Our flag, with the form of its value where that differs, for each foreign flag name (with `-` for `_`): from
    /// A1111, ComfyUI, Diffusers' scripts, InvokeAI, stable-diffusion.cpp and the original scripts.
    private static let names: [String: [String]] = [
        "--guidance": [
            "--cfg-scale", "--cfg", "--guidance-scale", "--scale", "--unconditional-guidance-scale",
        ],
        "--scheduler": [
            "--sampler", "--sampler-name", "--sampling-method", "--sampling", "--sampler-index",
            "-A",
        ],
        "--sigmas": [
            "--schedule", "--schedule-type", "--noise-schedule", "--scheduler-type",
            "--sigma-schedule",
        ],
        "--karras": ["--use-karras", "--karras-sigmas", "--use-karras-sigmas"],
        "--steps": [
            "--num-inference-steps", "--sampling-steps", "--ddim-steps", "--num-steps", "--n-steps",
            "--inference-steps",
        ],
        "--size WIDTHxHEIGHT": [
            "--width", "--height", "--resolution", "--dimensions", "-W", "-H", "--w", "--h", "--W",
            "--H",
            "--hires-scale", "--upscale", "--hr-scale", "--image-size",
        ],
        "--prompt": ["--text", "--positive", "--positive-prompt", "-p", "--caption"],
        "--negative-prompt": [
            "--negative", "--neg-prompt", "--uncond", "--n-prompt", "-n", "--uc",
        ],
        "--count": [
            "--batch-count", "--batch-size", "--n-iter", "--n-samples", "--num-images",
            "--num-images-per-prompt",
            "--iterations", "--samples", "--images", "--n", "-b",
        ],
        "--seed": ["--random-seed", "--noise-seed", "--manual-seed", "-s"],
        "--model": [
            "--ckpt", "--checkpoint", "--ckpt-name", "--ckpt-path", "--model-path", "--model-id",
            "--diffusion-model",
            "--pretrained-model-name-or-path", "--pretrained", "-m",
        ],
        "--lora FILE:WEIGHT": [
            "--lora-scale", "--lora-weight", "--lora-weights", "--lora-strength", "--lora-alpha",
            "--lora-path",
            "--lora-name", "--loras", "--adapter", "--lycoris", "--network-weights",
        ],
        "--lora-dir": ["--lora-model-dir", "--lora-folder", "--loras-dir", "--lyco-dir"],
        "--embedding": [
            "--embeddings", "--textual-inversion", "--ti", "--embd-dir", "--embeddings-dir",
            "--embedding-path",
        ],
        "--vae": ["--vae-path", "--vae-file", "--vae-name", "--vae-dir"],
        "--refiner PATH:SHARE": [
            "--refiner-switch-at", "--refiner-switch", "--refiner-checkpoint", "--denoising-end",
            "--high-noise-frac",
        ],
        "--init-image": [
            "--init-img", "--init", "--image", "--img", "--input", "--input-image", "--image-path",
            "-i",
        ],
        "--mask": ["--mask-image", "--mask-img", "--mask-path", "--init-mask", "--inpaint-mask"],
        "--extend": ["--outpaint", "--outpainting", "--expand", "--pad"],
        "--strength": ["--denoise", "--denoising", "--denoising-strength", "--img2img-strength"],
        "--image-guidance": [
            "--image-cfg-scale", "--img-cfg-scale", "--cfg-image", "--image-guidance-scale",
        ],
        "--clip-skip": ["--clip-stop-at-last-layers", "--stop-at-clip-layer", "--clip-layer"],
        "--prediction": [
            "--prediction-type", "--v-prediction", "--parameterization", "--v-parameterization",
        ],
        "--output": [
            "--out", "--outfile", "--output-path", "--outdir", "--output-dir", "--save",
            "--filename", "-o",
        ],
        "--quality": ["--jpeg-quality", "--jpg-quality"],
        "--prompts": ["--from-file", "--prompt-file", "--prompts-file", "--prompts-from-file"],
        "--wildcards": ["--wildcard-dir", "--wildcards-dir", "--wildcard-path"],
        "--from-png": ["--png-info", "--infotext", "--metadata", "--from-image", "--from-picture"],
        "--precision": [
            "--dtype", "--type", "--half", "--fp16", "--bf16", "--fp32", "--no-half",
            "--weight-type",
        ],
        "--device": ["--gpu", "--cuda", "--device-id", "--accelerator"],
        "--threads-per-worker": ["--threads", "--num-threads", "-t"],
        "--prompt-syntax a1111": ["--a1111", "--weighting", "--prompt-weighting", "--emphasis"],
        "--rng philox": ["--gpu-noise", "--rng-gpu", "--cuda-rng"],
    ]

    private static let byName: [String: String] = names.reduce(into: [:]) { found, entry in
        for name in entry.value { found[name] = entry.key }
    }

    /// Translates a flag that the parser does not know.
    ///
    /// - Parameters:
    ///   - word: the flag, with its dashes
    ///   - command: the command that it was given to
    /// - Returns: our flag; nil if the command has no equivalent
    static func meaning(of word: String, in command: CommandDescription) -> String? {
        let written = word.replacing("_", with: "-")
        let name = written.hasPrefix("--") ? written.drop { $0 == "-" } : ""
        if command.hasOption(String(name)) { return written }
        // Case matters for short flags only.
        let key = written.count > 3 ? written.lowercased() : written
        guard let own = byName[key] else { return nil }
        let flag = own.drop { $0 == "-" }.prefix { $0 != " " }
        return command.hasOption(String(flag)) ? own : nil
    }

    /// All of our flags that can be suggested, for tests.
    static var targets: [String] { names.keys.sorted() }
}

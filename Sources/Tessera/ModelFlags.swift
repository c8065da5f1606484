import ArgumentParser
import Engine
import Foundation

/// Flags that select the weights.
struct ModelFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The model: a folder in the Diffusers layout, or a .safetensors file in the original layout. "
                + "(default: the bundled Models/vista)",
            valueName: "path"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var model: String?

    @Option(
        help: ArgumentHelp(
            "A LoRA, LoHa, LoKr, IA3, OFT or BOFT to merge (a file, or a folder of PEFT), its weight, and weights of parts "
                + "of the model (te, te1, te2, unet, down, mid, up, down.N, up.N); may be repeated.",
            valueName: "file[:weight][:te=weight]"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var lora: [String] = []

    @Option(
        help: ArgumentHelp(
            "Configurations in the Diffusers layout for a model in a single file, if they cannot be "
                + "inferred from the file.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var modelConfig: String?

    @OptionGroup var parts: ModelPartFlags

    /// - Throws: `InputError` for a LoRA weight that is not a number
    func options(text: TextFlags? = nil) throws(InputError) -> ModelOptions {
        var sources: [LoRASource] = []
        for argument in lora { sources.append(try LoRASource(argument: argument)) }
        return ModelOptions(
            config: modelConfig,
            tokenizer: text?.tokenizer,
            prediction: text?.prediction,
            loras: sources,
            embeddings: try text?.sources() ?? [],
            vae: parts.vae,
            base: parts.base,
            refiner: try parts.source()
        )
    }

    /// The flags for the model of one render: each job of a service has its own.
    func with(_ options: ModelOptions) -> ModelFlags {
        var flags = self
        flags.lora = options.loras.map(\.argument)
        flags.modelConfig = options.config
        flags.parts.vae = options.vae
        flags.parts.base = options.base
        flags.parts.refiner = options.refiner?.argument
        return flags
    }

    /// The model flags except `--model`, for a worker's command line.
    ///
    /// - Returns: flags and values
    /// - Throws: `InputError` for a LoRA weight that is not a number
    func arguments() throws(InputError) -> [String] {
        try options().loras.flatMap { ["--lora", $0.argument] }
            + (modelConfig.map { ["--model-config", $0] } ?? []) + parts.arguments
    }
}

/// Flags for parts of a model that are loaded from elsewhere.
struct ModelPartFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A VAE to use in place of the model's own: a .safetensors file, or a folder in the Diffusers layout.",
            valueName: "path"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var vae: String?

    @Option(
        help: ArgumentHelp(
            "A model of the same family that provides what the model's file lacks: text encoders, VAE and scheduler for "
                + "a UNet alone.",
            valueName: "path"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var base: String?

    @Option(
        help: ArgumentHelp(
            "Stable Diffusion XL's refiner, and the share of the schedule after which it predicts. (default "
                + "share: 0.8)",
            valueName: "path[:share]"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var refiner: String?

    /// - Throws: `InputError` unless the refiner's share of the steps is between 0 and 1
    func source() throws(InputError) -> RefinerSource? {
        try refiner.map { argument throws(InputError) in try RefinerSource(argument: argument) }
    }

    /// The same flags, to pass on to another command.
    var arguments: [String] {
        [("--vae", vae), ("--base", base), ("--refiner", refiner)].flatMap { flag, value in
            value.map { [flag, $0] } ?? []
        }
    }
}

/// Flags for files beside a model, which only a render on this host can read.
struct ModelFileFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the files that <lora:name:0.8> in a prompt names; with --prompt-syntax a1111.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var loraDir: String?

    @Flag(
        help: ArgumentHelp(
            "Do not take settings from the model's tessera.json, nor from a model name with Turbo, "
                + "Lightning, LCM or Hyper-SD."
        )
    )
    var noModelPreset = false
}

/// Flags for parts of a model that only the coordinator needs.
struct TextFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder with tokenizer.json, or vocab.json and merges.txt, or such folders named tokenizer and "
                + "tokenizer_2. (default: the model's own, or those beside a single file, else CLIP's)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var tokenizer: String?

    @Option(
        help: ArgumentHelp(
            "The model's prediction type, if its files do not state it or state it wrongly.",
            valueName: "type"
        )
    )
    var prediction: PredictionType?

    @Option(
        help: ArgumentHelp(
            "A textual inversion (.safetensors) and the word that stands for it in prompts; may be repeated. (default "
                + "word: the file's name)",
            valueName: "file[:word]"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var embedding: [String] = []

    /// - Throws: `InputError` for an empty trigger word
    func sources() throws(InputError) -> [EmbeddingSource] {
        var sources: [EmbeddingSource] = []
        for argument in embedding { sources.append(try EmbeddingSource(argument: argument)) }
        return sources
    }
}

import ArgumentParser
import Coordinator
import Engine
import Sampling

/// Flags that determine the picture; shared by `render`, `coordinator` and `plan`.
package struct PictureFlags: ParsableArguments {
    @OptionGroup(title: "Picture") var subject: SubjectFlags
    @OptionGroup(title: "Model") var model: ModelFlags
    @OptionGroup(title: "Model") var text: TextFlags
    @OptionGroup(title: "Model") var files: ModelFileFlags
    @OptionGroup(title: "Sampling") var sampling: SamplingFlags
    @OptionGroup(title: "Start from a picture") var start: StartFlags
    @OptionGroup(title: "Several pictures") var series: SeriesFlags
    @OptionGroup(title: "Repeat a picture") var repeating: RepeatFlags
    @OptionGroup(title: "Large pictures") var method: MethodFlags
    @OptionGroup(title: "Large pictures") var large: LargePictureFlags
    @OptionGroup(title: "Computation") var exchange: ExchangeFlags

    package init() {}

    /// The model flags, including the LoRA files that the prompt names.
    ///
    /// - Throws: `InputError` for a prompt that cannot be parsed, a tag without meaning here, or a missing file
    func modelFlags() throws(InputError) -> ModelFlags {
        try PromptWording(
            subject.prompt,
            negative: subject.negativePrompt,
            positive2: subject.prompt2,
            negative2: subject.negativePrompt2,
            syntax: subject.promptSyntax ?? Settings.promptSyntax.defaultValue
        ).check()
        guard subject.promptSyntax == .a1111 else { return model }
        for (flag, text) in [
            ("--negative-prompt", subject.negativePrompt), ("--prompt-2", subject.prompt2),
            ("--negative-prompt-2", subject.negativePrompt2),
        ] {
            guard let tag = PromptTag.tags(in: text ?? "").first else { continue }
            throw InputError(
                "\(flag): \(tag.text)",
                "tags are read in --prompt only",
                fix: "Move it there"
            )
        }
        var flags = model
        for tag in PromptTag.tags(in: subject.prompt) {
            flags.lora.append(try LoRASource(tag, folder: files.loraDir).argument)
        }
        return flags
    }

    /// - Throws: `InputError` naming the flag with an invalid value
    package func options() throws -> PictureOptions {
        let settings = try SettingChoices(subject, sampling, start, method, large, exchange)
        var options = PictureOptions(
            prompt: subject.prompt,
            negativePrompt: subject.negativePrompt,
            prompt2: subject.prompt2,
            negativePrompt2: subject.negativePrompt2,
            model: model.model,
            modelOptions: try modelFlags().options(text: text),
            settings: settings,
            usesModelPreset: !files.noModelPreset,
            picture: try start.choice()
        )
        options.preset = method.preset
        options.mask = start.maskChoice
        options.growth = start.extend?.growth ?? PictureGrowth()
        return options
    }
}

extension SettingChoices {
    /// The settings chosen by the flags.
    ///
    /// - Throws: `InputError` naming the flag with an invalid value
    init(
        _ subject: SubjectFlags,
        _ sampling: SamplingFlags,
        _ start: StartFlags,
        _ method: MethodFlags,
        _ large: LargePictureFlags,
        _ exchange: ExchangeFlags
    ) throws(InputError) {
        self.init()
        set(Settings.size, to: subject.size)
        set(Settings.seed, to: subject.seed.value)
        set(Settings.promptSyntax, to: subject.promptSyntax)
        sampling.add(to: &self)
        start.add(to: &self)
        method.add(to: &self)
        try large.add(to: &self)
        set(Settings.wire, to: exchange.wire)
        set(Settings.globalPass, to: exchange.globalPass)
    }
}

/// Flags for the prompts and the size.
struct SubjectFlags: ParsableArguments {
    @Option(help: "What the picture shows.")
    var prompt = ""

    @Option(help: "What the picture must not show.")
    var negativePrompt: String?

    @Option(
        name: .customLong("prompt-2"),
        help:
            "What the picture shows, for the second text encoder of Stable Diffusion XL. (default: --prompt)"
    )
    var prompt2: String?

    @Option(
        name: .customLong("negative-prompt-2"),
        help: "What it must not show, for the second text encoder. (default: --negative-prompt)"
    )
    var negativePrompt2: String?

    @Option(Settings.promptSyntax) var promptSyntax: PromptSyntax?

    @Option(Settings.size) var size: Extent?
    @Option(Settings.seed) var seed = Seed(value: Settings.seed.defaultValue)
}

/// Flags for sampling, at any size.
struct SamplingFlags: ParsableArguments {
    @Option(Settings.steps) var steps: Int?
    @Option(Settings.guidance) var guidance: Float?
    @Option(Settings.guidanceInterval) var guidanceInterval: NumberList?
    @Option(Settings.scheduler) var scheduler: SamplerName?
    @Flag(Settings.karras) var karras: Bool?
    @Option(Settings.timestepSpacing) var timestepSpacing: TimestepSpacing?
    @Option(Settings.finalSigma) var finalSigma: FinalSigma?
    @Flag(Settings.sgmUniform) var sgmUniform: Bool
    @Option(Settings.sigmas) var sigmas: LevelSpacing?
    @Option(Settings.clipSkip) var clipSkip: Int?

    @Option(Settings.random) var rng: RandomKind?
    @Option(Settings.decodeMargin) var decodeMargin: Int?

    mutating func validate() throws {
        guard let levels = scheduler?.levels else { return }
        let other =
            if let sigmas, sigmas != levels {
                "--sigmas \(sigmas.rawValue)"
            } else if let karras, karras != (levels == .karras) {
                karras ? "--karras" : "--no-karras"
            } else { String?.none }
        guard let other else { return }
        throw ValidationError(
            "--scheduler names noise levels (\(levels.rawValue)), and \(other) names others: leave one of them out."
        )
    }

    func add(to settings: inout SettingChoices) {
        settings.set(Settings.steps, to: steps)
        settings.set(Settings.guidance, to: guidance)
        settings.set(Settings.guidanceInterval, to: guidanceInterval?.values)
        settings.set(Settings.scheduler, to: scheduler?.kind)
        let named = sigmas ?? scheduler?.levels
        settings.set(Settings.karras, to: named == .karras ? true : karras)
        settings.set(Settings.sigmas, to: named == .karras || named == nil ? nil : named)
        settings.set(Settings.timestepSpacing, to: timestepSpacing)
        settings.set(Settings.finalSigma, to: finalSigma)
        settings.set(Settings.sgmUniform, to: sgmUniform ? true : nil)
        settings.set(Settings.clipSkip, to: clipSkip)
        settings.set(Settings.random, to: rng)
        settings.set(Settings.decodeMargin, to: decodeMargin)
    }
}

/// Flags for pictures that are larger than the model's native size.
struct LargePictureFlags: ParsableArguments {
    @Option(Settings.stride) var stride: WindowStride?
    @Option(Settings.windowWeight) var windowWeight: WindowWeight?
    @Option(Settings.cosineScales) var cosineScales: NumberList?
    @Option(Settings.sigma) var sigma: Double?
    @Option(Settings.ladder) var ladder: LadderArgument?
    @Option(Settings.skipBelow) var skipBelow: Double?
    @Option(Settings.border) var border: Border?
    @Option(Settings.upscaleMode) var upscaleMode: UpscaleMode?

    /// - Throws: `InputError` unless the scales increase from 1
    func add(to settings: inout SettingChoices) throws(InputError) {
        settings.set(Settings.stride, to: stride)
        settings.set(Settings.windowWeight, to: windowWeight)
        settings.set(Settings.cosineScales, to: cosineScales?.values)
        settings.set(Settings.sigma, to: sigma)
        settings.set(Settings.ladder, to: try ladder?.choice())
        settings.set(Settings.skipBelow, to: skipBelow)
        settings.set(Settings.border, to: border)
        settings.set(Settings.upscaleMode, to: upscaleMode)
    }
}

/// Flags for the data exchanged with workers.
struct ExchangeFlags: ParsableArguments {
    @Option(Settings.wire) var wire: WireFormat?
    @Option(Settings.globalPass) var globalPass: GlobalPass?
}

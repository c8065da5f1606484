import Engine
import Foundation
import Sampling

extension RenderSession {
    /// Notices about choices made on the user's behalf.
    ///
    /// - Throws: `InputError` for a model whose name indicates an unsupported prediction type
    static func notices(
        _ model: Model,
        _ config: SchedulerConfig,
        _ distillation: Distillation?,
        _ settings: RenderSettings
    ) throws(InputError) -> [String] {
        var lines: [String] = []
        func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }
        if model.predictionIsGuess {
            lines.append(
                "\(name(model.path)) is assumed to predict \(config.prediction.rawValue) "
                    + "(\(model.predictionSource)); override it with --prediction"
            )
        }
        lines += model.adapterNotices
        if let refusal = config.refusal {
            lines.append("\(refusal.place): \(refusal.problem); --scheduler is used")
        }
        if [.alignYourSteps, .alignYourStepsXL].contains(settings.schedule.levels),
            !config.hasStandardTraining
        {
            lines.append(
                "--sigmas \(settings.schedule.levels?.rawValue ?? ""): its levels were published for Stable Diffusion's own "
                    + "noise schedule, and \(name(model.path)) was trained on another one"
            )
        }
        if let refiner = model.options.refiner {
            let all = Double(config.trainTimesteps)
            lines.append(
                "\(name(refiner.path)) predicts below timestep "
                    + "\(Int((all - refiner.start * all).rounded(.toNearestOrEven))); adapters and textual "
                    + "inversions do not change it"
            )
        }
        guard let distillation else { return lines }
        if let refusal = distillation.refusal { throw refusal }
        let spacing = settings.schedule.spacing.map { ", \($0.rawValue) timesteps" } ?? ""
        lines.append(
            "\(name(distillation.path)) is distilled (\(distillation.method.rawValue)), \(distillation.evidence): "
                + "\(settings.steps) steps, guidance \(settings.guidance), "
                + "\(settings.scheduler.rawValue)\(spacing); "
                + "flags override these, --no-model-preset ignores the name"
        )
        return lines
    }

    /// What a user should know about how their prompts are read.
    static func notices(
        of prompts: PromptPair,
        _ options: PictureOptions,
        _ settings: RenderSettings
    ) -> [String] {
        var lines = prompts.unusedWords.map { "no prompt has '\($0)', the word of an embedding" }
        for (flag, text) in [
            ("--prompt", options.prompt), ("--negative-prompt", options.negativePrompt),
        ] {
            guard let text, let hint = Wildcards.hint(in: text) else { continue }
            lines.append(
                "\(flag) is taken literally, \(hint) included; --wildcards DIR gives it a meaning"
            )
        }
        if prompts.weights.count == 1, prompts.weights != [1] {
            lines.append(
                "the number at the end of --prompt is its weight, as in A1111: \(prompts.weights[0])"
            )
        }
        guard settings.promptSyntax == .plain else { return lines }
        for (flag, text) in [
            ("--prompt", options.prompt), ("--negative-prompt", options.negativePrompt),
            ("--prompt-2", options.prompt2), ("--negative-prompt-2", options.negativePrompt2),
        ] {
            guard let text, let hint = PromptSyntax.hint(in: text) else { continue }
            lines.append(
                "\(flag) is taken literally, \(hint) included; --prompt-syntax a1111 gives it a meaning"
            )
        }
        return lines
    }

    /// The settings that the model's own file suggests, in one line; nil if the file does not exist.
    ///
    /// - Parameters:
    ///   - defaults: the model's own file
    ///   - settings: the render's settings
    ///   - given: explicit choices
    ///   - replaced: names of other suggestions that are overridden
    ///   - dropped: suggestions that are not used
    /// - Returns: the line; nil if nothing from the file is used or needs an explanation
    static func suggestion(
        _ defaults: ModelDefaults?,
        _ settings: RenderSettings,
        given: SettingChoices,
        replaced: Set<String> = [],
        dropped: [PictureOptions.Dropped] = []
    ) -> String? {
        guard let defaults else { return nil }
        let chosen = ModelDefaults.settings.filter { given.has($0) }.map(\.name)
        // A suggestion that a message is about stays in the line.
        let gone = replaced.union(chosen).subtracting(dropped.flatMap(\.names))
        guard let summary = defaults.summary(without: gone) else { return nil }
        let line = "\(summary), by \(defaults.path)"
        guard dropped.isEmpty else {
            return line
                + dropped.map { "; not \($0.names.joined(separator: ", ")): \($0.reason)" }.joined()
        }
        var suggested = settings
        suggested.method = .refine
        let yields =
            defaults.choices.has(Settings.method) && settings.method == .demofusion
            && !given.has(Settings.method)
        let reason = yields ? suggested.unusedSetting(given: given) : nil
        return line + (reason.map { "; --\($0.name) needs demofusion" } ?? "")
    }

    /// A notice about a first phase that is too small for the model.
    ///
    /// - Parameter plan: the render's plan
    /// - Returns: at most one line
    package static func notices(_ plan: RenderPlan) -> [String] {
        let (first, factor) = (plan.phases[0].phase.latent, plan.model.vaeFactor)
        guard plan.settings.picture == nil, 2 * first.shortSide < plan.model.nativeLatentSide
        else { return [] }
        let native = plan.model.nativeLatentSide * factor
        let size = Extent(height: first.height * factor, width: first.width * factor)
        let short = size.height < size.width ? "height" : "width"
        // A larger picture is laid out with the model's own side as its long side; a smaller one at its own size.
        let isLong = plan.settings.size.longSide > native
        let fault = isLong ? "such a small \(short)" : "so few pixels"
        let advice = isLong ? "at most 2:1" : "at least \(native / 2) pixels"
        return [
            "phase 1 lays the picture out at \(size) pixels, and the model was trained at "
                + "\(native)×\(native): with \(fault) the subject may be missing. Sides of "
                + "\(advice), or --init-image, avoid this"
        ]
    }
}

import Engine
import Protocol
import Sampling

/// An init image or a mask, as requested.
package struct PictureChoice: Equatable, Sendable {
    package var path: String
    package var limits: PictureLimits

    package init(path: String, limits: PictureLimits = PictureLimits()) {
        (self.path, self.limits) = (path, limits)
    }
}

/// A requested picture: whatever is nil or missing from the settings comes from the model.
package struct PictureOptions: Sendable {
    package var prompt: String
    package var negativePrompt: String?
    /// Prompt for the second text encoder; nil for the same prompt.
    package var prompt2: String?
    package var negativePrompt2: String?
    package var model: String?
    package var modelOptions: ModelOptions
    package var settings: SettingChoices
    /// Whether settings that nobody chose come from the model's `tessera.json`, and from a name that says that the
    /// model is distilled.
    package var usesModelPreset: Bool
    /// Preset that decides the settings of the method, instead of the model's file.
    package var preset: Preset?
    package var picture: PictureChoice?
    /// What the models' own files suggest, if they are not to be read again.
    package var suggestions = SuggestionMemory()
    /// Which part of the init image changes; nil for all of it.
    package var mask: PictureChoice?
    /// How far the init image grows; the new part is masked.
    package var growth = PictureGrowth()

    /// Files that the picture is made from, with their roles.
    var sources: [(role: String, path: String)] {
        let parts = [
            ("the init image", picture?.path), ("the mask", mask?.path), ("the model", model),
            ("the VAE", modelOptions.vae), ("the base model", modelOptions.base),
            ("the refiner", modelOptions.refiner?.path),
        ].compactMap { role, path in path.map { (role: role, path: $0) } }
        return parts + modelOptions.loras.map { ("a LoRA", $0.path) }
            + modelOptions.embeddings.map { ("a textual inversion", $0.path) }
    }

    /// Whether only part of the picture changes.
    package var isMasked: Bool { mask != nil || !growth.isNone }

    package init(
        prompt: String,
        negativePrompt: String? = nil,
        prompt2: String? = nil,
        negativePrompt2: String? = nil,
        model: String? = nil,
        modelOptions: ModelOptions = ModelOptions(),
        settings: SettingChoices = SettingChoices(),
        usesModelPreset: Bool = true,
        picture: PictureChoice? = nil
    ) {
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        (self.prompt2, self.negativePrompt2) = (prompt2, negativePrompt2)
        self.model = model
        self.modelOptions = modelOptions
        self.settings = settings
        self.usesModelPreset = usesModelPreset
        self.picture = picture
    }

    /// Rejects prompts that cannot be read or recorded.
    ///
    /// - Throws: `InputError` naming the flag
    package func checkPrompts() throws(InputError) {
        var chosen = RenderSettings(size: Settings.size.defaultValue, scheduler: .ddim)
        settings.apply(to: &chosen)
        try PromptWording(
            prompt,
            negative: negativePrompt,
            positive2: prompt2,
            negative2: negativePrompt2,
            syntax: chosen.promptSyntax
        ).check()
    }

    /// The default size: that of the init image, or the model's own.
    package static func defaultSize(for model: ModelGeometry, picture found: Extent?) -> Extent {
        let side = max(1024, 2 * model.nativeSide) / model.vaeFactor * model.vaeFactor
        return found.map { PictureStart.defaultSize(of: $0, model: model) }
            ?? Extent(height: side, width: side)
    }

    /// Whether the model's own file is used: not with `--border zeros`, which reproduces the authors' code.
    package var usesModelDefaults: Bool {
        var chosen = RenderSettings(size: Settings.size.defaultValue, scheduler: .ddim)
        settings.apply(to: &chosen)
        return usesModelPreset && chosen.border != .zeros
    }

    /// Settings that a distilled adapter's name decides, whatever the model's own file suggests.
    static let ofDistilledAdapters: [any AnySetting] = [
        Settings.steps, Settings.guidance, Settings.scheduler,
        Settings.karras, Settings.timestepSpacing, Settings.finalSigma,
    ]

    /// The settings with all defaults filled in, for a model or a picture of some size. In order of priority: explicit
    /// choices, the preset, the model's own file without some names, and what follows from the model's name.
    package func settings(
        for model: ModelGeometry,
        scheduler own: SchedulerKind,
        distillation: Distillation? = nil,
        defaults: ModelDefaults? = nil,
        without dropped: Set<String> = [],
        picture found: Extent?
    ) -> RenderSettings {
        var result = RenderSettings(
            size: Self.defaultSize(for: model, picture: found),
            scheduler: distillation?.scheduler ?? own
        ) {
            if let distillation {
                ($0.steps, $0.guidance) = (distillation.steps, distillation.guidance)
            }
        }
        var choices = (usesModelDefaults ? defaults?.choices : nil) ?? SettingChoices()
        for setting in ModelDefaults.settings where dropped.contains(setting.name) {
            choices.remove(setting)
        }
        // The file is written for the model without the LoRA.
        if distillation?.isOfAdapter == true {
            for setting in Self.ofDistilledAdapters { choices.remove(setting) }
        }
        // The init image decides the size of the picture.
        if found != nil { choices.remove(Settings.size) }
        if let preset {
            for setting in Preset.settings { choices.remove(setting) }
            choices.merge(preset.choices(for: model, isDistilled: distillation != nil))
        }
        choices.merge(settings)
        choices.apply(to: &result)
        if let most = preset?.maxSteps, !settings.has(Settings.steps) {
            result.steps = min(result.steps, most)
        }
        result.isMasked = found != nil && isMasked
        result.isEdited = found != nil && model.pictureInput == .editing
        // Everything outside the mask is kept, nothing inside it is.
        if result.isMasked, !choices.has(Settings.fidelity) { result.fidelity = 0 }
        result.frame = found.map { found in
            PictureFrame(
                ofHeight: found.height,
                width: found.width,
                covering: (result.size.height, result.size.width),
                slack: model.vaeFactor
            )
        }
        // A suggestion yields to flags that only DemoFusion uses, whatever their values.
        if preset == nil, !settings.has(Settings.method), result.method == .refine,
            let unused = result.unusedSetting(given: settings), settings.has(unused)
        {
            result.method = unused.onlyMethod(in: result) ?? .demofusion
        }
        result.windowWeight = result.fusionWeight
        if result.method == .refine, distillation != nil, !choices.has(Settings.refineSteps) {
            result.refine.steps = RefineSettings.distilledSteps
        }
        // LCM and TCD have their own timesteps, and explicit flags take priority.
        if ![.lcm, .tcd].contains(result.scheduler), !result.schedule.isSGMUniform,
            result.schedule.spacing == nil
        {
            result.schedule.spacing = distillation?.spacing
        }
        return result
    }
}

import Engine
import Foundation
import Sampling

extension PictureRecipe {
    /// Keys that say nothing about the picture, or repeat others.
    private static let idle: Set<String> = [
        "Version", "Lora hashes", "TI hashes", "Hashes", "VAE hash", "Pad conds", "Batch size",
        "Batch pos", "Created Date", "Civitai resources", "Civitai metadata", "User", "Model hash",
        "Model", "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Clip skip",
        "RNG",
        "Denoising strength", "Precision", "Backend", "Device",
    ]

    /// Adds what a picture of A1111, or of a program that writes as A1111 does, says.
    mutating func add(_ text: Infotext) throws {
        if text["Version"]?.hasPrefix("Tessera") == true { return try add(own: text) }
        set(Settings.promptSyntax.name, PromptSyntax.a1111.rawValue)
        set("negative-prompt", text.negativePrompt)
        set("prompt", text.prompt)
        if !isGiven("prompt") { removeTags(from: text.prompt) }
        set(Settings.steps.name, text["Steps"])
        set(Settings.guidance.name, text["CFG scale"])
        set(Settings.seed.name, text["Seed"])
        set(Settings.size.name, text["Size"])
        set(Settings.clipSkip.name, text["Clip skip"])
        // Without this key A1111 draws noise on the GPU.
        let isOnCPU = text["RNG"] == "CPU"
        set(Settings.random.name, (isOnCPU ? RandomKind.torch : .philox).rawValue)
        add(sampler: text["Sampler"], type: text["Schedule type"])
        add(
            RecordedModel(
                name: text["Model"],
                hash: text["Model hash"].map { .sha256($0) }
            )
        )
        for pair in (text["TI hashes"] ?? "").split(separator: ",") {
            let word = pair.split(separator: ":").first.map(String.init) ?? ""
            add(embedding: word.trimmingCharacters(in: .whitespaces))
        }
        let enlarged = text.fields.filter { $0.key.hasPrefix("Hires") }
        if !enlarged.isEmpty {
            let said = enlarged.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            warn("its enlargement (\(said)) is left out: give --size to enlarge it here")
        } else if let strength = text["Denoising strength"] {
            if isGiven("init-image") {
                set(Settings.strength.name, strength)
                set(Settings.fidelity.name, "0")
            } else {
                warn(
                    "it was made from a picture that its text does not name: give it with --init-image"
                )
            }
        }
        warn(about: text, besides: enlarged.map(\.key))
    }

    private mutating func warn(about text: Infotext, besides known: [String]) {
        for (key, value) in text.fields where !Self.idle.contains(key) && !known.contains(key) {
            switch (key, value) {
            case ("Emphasis", "Original"), ("Eta", "1.0"), ("ENSD", "0"): continue
            case ("VAE", _): add(vae: value)
            default: warn("its '\(key)' (\(value)) is not supported and left out")
            }
        }
    }

    private mutating func add(sampler: String?, type: String?) {
        guard let sampler, !isGiven(Settings.scheduler.name) else { return }
        guard let choice = WebSampler(sampler, type: type) else {
            return warn("its sampler '\(sampler)' is not supported: the model's own is used")
        }
        if !choice.isTypeKnown {
            warn("its schedule type '\(type ?? "")' is not supported: the sampler's own is used")
        }
        add(choice.kind, choice.levels, isLinear: choice.isLinear)
    }

    /// Sets a sampler and its noise levels.
    mutating func add(_ kind: SchedulerKind, _ levels: LevelSpacing?, isLinear: Bool) {
        guard !isGiven(Settings.scheduler.name) else { return }
        set(Settings.scheduler.name, kind.rawValue)
        let isChosen = ["sigmas", "karras", "sgm-uniform"].contains { isGiven($0) }
        if let levels, !isChosen {
            if levels == .karras {
                set(flag: Settings.karras.name)
            } else {
                set(Settings.sigmas.name, levels.rawValue)
            }
        } else if isLinear, !isChosen, WebSampler.hasLinear(kind) {
            set(Settings.timestepSpacing.name, TimestepSpacing.linspace.rawValue)
        }
    }

    /// The line of settings of a picture of Tessera whose JSON is lost, as in other formats than PNG.
    private mutating func add(own text: Infotext) throws {
        warn("only its line of settings is there: what that does not say is as by default")
        set("prompt", text.prompt)
        set("negative-prompt", text.negativePrompt)
        if PromptSyntax.hint(in: text.prompt) != nil {
            warn("its text does not say how the prompt was read: --prompt-syntax")
        }
        for setting in Settings.all {
            guard let value = setting.labels.lazy.compactMap({ text[$0] }).first else { continue }
            switch setting.name {
            case Settings.scheduler.name:
                guard let name = SamplerName(value) else { continue }
                add(name.kind, name.levels, isLinear: false)
            case Settings.sigmas.name:
                if let levels = SamplerName("euler \(value)")?.levels, !isGiven("scheduler") {
                    set(setting.name, levels.rawValue)
                }
            case Settings.sgmUniform.name: continue
            case Settings.random.name:
                set(setting.name, (value == "NV" ? RandomKind.philox : .torch).rawValue)
            case Settings.strength.name, Settings.fidelity.name:
                if isGiven("init-image") { set(setting.name, value) }
            case Settings.ladder.name where isGiven("size"): continue
            default: set(setting.name, value.replacing(" ", with: ","))
            }
        }
        set(flag: "no-model-preset")
        add(RecordedModel(name: text["Model"], hash: nil))
        if let hash = text["Init image hash"], !isGiven("init-image") {
            throw InputError(
                request.path,
                "it was made from a picture with the digest \(hash)…",
                fix: "Give it with --init-image"
            )
        }
        if let hash = text["Mask hash"], !isGiven("mask") {
            throw InputError(
                request.path,
                "it was made with a mask with the digest \(hash)…",
                fix: "Give it with --mask"
            )
        }
        set("extend", text["Extended"]?.replacing(" ", with: ","))
        for (key, value) in text.fields where key == "LoRA" || key.hasPrefix("LoRA ") {
            let pieces = value.split(separator: ":", maxSplits: 1)
            if pieces.count == 2 { add(lora: String(pieces[0]), weights: String(pieces[1])) }
        }
    }
}

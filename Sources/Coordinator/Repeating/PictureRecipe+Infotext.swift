import Engine
import Foundation
import Sampling

extension PictureRecipe {
    /// Keys that need no warning: they are read elsewhere, repeat others, or say nothing about the picture.
    private static let idle: Set<String> = [
        "Version", "Lora hashes", "TI hashes", "Hashes", "VAE hash", "Pad conds", "Batch size",
        "Batch pos", "Created Date", "Civitai resources", "Civitai metadata", "User", "Model hash",
        "Model", "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Clip skip",
        "RNG",
        "Denoising strength", "Precision", "Backend", "Device", "Refiner", "Refiner switch at",
    ]

    /// Adds the settings of a picture of A1111, or of a program that writes the same text.
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
        // Without this key, A1111 draws noise on the GPU.
        let isOnCPU = text["RNG"] == "CPU"
        set(Settings.random.name, (isOnCPU ? RandomKind.torch : .philox).rawValue)
        add(sampler: text["Sampler"], type: text["Schedule type"])
        try add(
            RecordedModel(
                name: text["Model"],
                hash: text["Model hash"].flatMap(HashStart.init).map { .sha256($0) }
            )
        )
        for pair in limited((text["TI hashes"] ?? "").split(separator: ","), "textual inversions") {
            let word = pair.split(separator: ":").first.map(String.init) ?? ""
            try add(embedding: word.trimmingCharacters(in: .whitespaces))
        }
        for pair in limited((text["Lora hashes"] ?? "").split(separator: ","), "LoRAs") {
            checkHash(
                ofLoRA: pair.split(separator: ":").map { $0.trimmingCharacters(in: .whitespaces) }
            )
        }
        if let name = text["Refiner"] { add(refiner: name, from: text["Refiner switch at"]) }
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
        try warn(about: text, besides: Set(enlarged.map(\.key)))
        let model = fittingModel()
        fit(levelsTo: model)
        add(clipSkip: text["Clip skip"], model)
    }

    /// Warns if a LoRA of the recorded name has other contents. A1111 hashes what follows the header.
    private mutating func checkHash(ofLoRA pair: [String]) {
        guard pair.count == 2, let start = HashStart(pair[1]), let path = file(named: pair[0]),
            let header = try? SafeTensors(file: path).headerBytes
        else { return }
        let hashes = [header, 0].lazy.compactMap { try? FileHash.sha256(of: path, from: $0) }
        if !hashes.contains(where: { start.begins($0) }) {
            warn("its LoRA '\(pair[0])' has the hash \(start.digits), and \(path) another one")
        }
    }

    /// Adds the layer of the text encoders. In A1111 it matters only for Stable Diffusion 1: the text encoders of other
    /// models are always read as they were trained. Its lowest value, 1, is the model's own layer.
    private mutating func add(clipSkip text: String?, _ model: Model?) {
        guard let text, text != "1", !isGiven(Settings.clipSkip.name) else { return }
        guard let model, model.family != .sd1 else {
            set(Settings.clipSkip.name, text)
            return fit(clipSkipTo: model)
        }
        // 2 is the layer that Stable Diffusion XL reads anyway.
        guard text != "2" else { return }
        warn(
            "its 'Clip skip' (\(text)) changes nothing with \(model.family.name) in A1111, and is left out: "
                + "--clip-skip \(text) applies it"
        )
    }

    /// Adds the refiner that A1111 names: `sd_xl_refiner_1.0 [7440042bbd]`.
    private mutating func add(refiner text: String, from share: String?) {
        guard !isGiven("refiner") else { return }
        let pieces = text.split(separator: " [", maxSplits: 1).map(String.init)
        let name = pieces.first ?? text
        let hash = pieces.count > 1 ? pieces[1].filter(\.isHexDigit) : nil
        let recorded = RecordedModel(
            name: name,
            hash: hash.flatMap { HashStart($0) }.map { .sha256($0) }
        )
        guard let path = recorded.find(in: request.modelFolder) ?? part(named: name) else {
            return warn(
                "its refiner '\(name)' is not found and left out: give it with --refiner, or its folder with --model-dir"
            )
        }
        let source = "\(path):\(share ?? "0.8")"
        do {
            // A1111 accepts models of any kind as refiners: check that this one can be used.
            let model = try request.model ?? value("model") ?? ModelLocation.resolve(nil)
            let options = ModelOptions(refiner: try RefinerSource(argument: source))
            _ = try Model(path: model, options: options)
            set("refiner", source)
        } catch {
            let problem = (error as? InputError)?.problem ?? "\(error)"
            warn("its refiner '\(name)' is left out: \(problem)")
        }
    }

    private mutating func warn(
        about text: Infotext,
        besides known: Set<String>
    ) throws(InputError) {
        for (key, value) in text.fields where !Self.idle.contains(key) && !known.contains(key) {
            switch (key, value) {
            case ("Emphasis", "Original"), ("Eta", "1.0"), ("ENSD", "0"): continue
            case ("VAE", _): try add(vae: value)
            default: warn("its '\(key)' (\(value)) is not supported and left out")
            }
        }
    }

    private mutating func add(sampler: String?, type: String?) {
        guard let sampler, !isGiven(Settings.scheduler.name) else { return }
        guard let choice = WebSampler(sampler, type: type) else {
            return warn("its sampler '\(sampler)' is not supported: the model's own is used")
        }
        if let type, let note = choice.note(onType: type) {
            warn("its schedule type '\(type)' \(note)")
        }
        add(choice.kind, choice.levels, isLinear: choice.isLinear)
    }

    /// Sets a sampler and its noise levels.
    mutating func add(_ kind: SchedulerKind, _ levels: LevelSpacing?, isLinear: Bool) {
        guard !isGiven(Settings.scheduler.name) else { return }
        set(Settings.scheduler.name, kind.rawValue)
        if kind == .uniPC, !isOwn {
            warn(
                "UniPC is computed as Diffusers does (order 2, B(h) 2), which differs slightly from A1111 and ComfyUI"
            )
        }
        let isChosen = ["sigmas", "karras", "sgm-uniform"].contains { isGiven($0) }
        if let levels, !isChosen {
            if levels == .karras {
                set(flag: Settings.karras.name)
            } else {
                set(Settings.sigmas.name, levels.rawValue)
            }
            // Tessera's own pictures record their spacing.
            if !isOwn, WebSampler.isLinear(kind, levels) {
                set(Settings.timestepSpacing.name, TimestepSpacing.linspace.rawValue)
            }
        } else if isLinear, !isChosen, WebSampler.hasLinear(kind) {
            set(Settings.timestepSpacing.name, TimestepSpacing.linspace.rawValue)
        }
    }

    /// Reads the settings line of a Tessera picture whose JSON is lost, as in formats other than PNG.
    private mutating func add(own text: Infotext) throws {
        isOwn = true
        warn("only its settings line is present: defaults are used for the rest")
        set("prompt", text.prompt)
        set("negative-prompt", text.negativePrompt)
        set("prompt-2", text["Prompt 2"])
        set("negative-prompt-2", text["Negative prompt 2"])
        let syntax = Settings.promptSyntax.labels.first.flatMap { text[$0] }
        if syntax == nil, PromptSyntax.hint(in: text.prompt) != nil {
            warn("its text does not say how the prompt was read: --prompt-syntax")
        }
        // Earlier versions did not record the method, only its settings.
        if text[Settings.method.labels.first ?? ""] == nil,
            text.fields.contains(where: { $0.key.hasPrefix("Refine ") })
        {
            set(Settings.method.name, Method.refine.rawValue)
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
        var recorded: [String: JSON] = [:]
        for part in ["vae", "base", "refiner"] {
            recorded[part] = PictureText.partLabels[part].flatMap { text[$0] }.map(JSON.string)
        }
        _ = try add(parts: recorded)
        for pair in (text["TI hashes"] ?? "").split(separator: ",") {
            let pieces = pair.split(separator: ":").map { $0.trimmingCharacters(in: .whitespaces) }
            guard let word = pieces.first else { continue }
            try add(embedding: word, digest: pieces.count > 1 ? pieces[1] : nil)
        }
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
        let loras = text.fields.filter { $0.key == "LoRA" || $0.key.hasPrefix("LoRA ") }
        for (_, value) in limited(loras, "LoRAs") {
            let pieces = value.split(separator: ":", maxSplits: 1)
            if pieces.count == 2 {
                try add(lora: String(pieces[0]), weights: String(pieces[1]))
            }
        }
        let isPlain = recorded.isEmpty && value("lora") == nil && !isGiven("lora")
        try add(
            RecordedModel(
                name: text["Model"],
                // With adapters or parts, the digest covers those, too.
                hash: isPlain ? text["Model hash"].map { .digest($0, ModelOptions()) } : nil
            )
        )
    }
}

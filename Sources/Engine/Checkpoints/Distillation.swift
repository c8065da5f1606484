import Foundation

/// How to sample a model that was distilled to a few steps. Its weights have the same shapes as any other
/// model's, so only its name gives it away: that of the file or folder, or the title in its metadata.
package struct Distillation: Equatable, Sendable {
    package enum Method: String, CaseIterable, Sendable {
        case turbo = "Turbo"
        case lightning = "Lightning"
        case lcm = "LCM"
        case hyper = "Hyper-SD"
    }

    package let method: Method
    /// The file or folder that was recognised as distilled.
    package let path: String
    package let steps: Int
    package let guidance: Float
    /// Nil if the model comes with its own scheduler.
    package let scheduler: SchedulerKind?
    package let spacing: TimestepSpacing?
    /// Whether it predicts the clean latent itself (x0), as Lightning's 1-step model does, which is not supported.
    package let predictsPicture: Bool

    /// Whether the distillation comes from a LoRA.
    package let isOfAdapter: Bool

    /// How the distillation was recognised, for messages.
    package let evidence: String

    /// Why a render is refused, assuming that the name is right; nil if it is not refused.
    package var refusal: InputError? {
        guard predictsPicture else { return nil }
        return InputError(
            path,
            "by its name it predicts the picture itself (x0), which is not supported",
            fix: "Use one of more steps, or --no-model-preset if the name misleads"
        )
    }

    /// Nil for a model that is not distilled, judging by its name.
    ///
    /// - Parameters:
    ///   - titles: the model's names according to its files
    ///   - path: the model's path
    ///   - tellsItsScheduler: whether its own scheduler should be used
    init?(ofModel titles: [String], _ path: String, tellsItsScheduler: Bool) {
        self.init(titles, path, isLoRA: false, usesOwnScheduler: tellsItsScheduler)
    }

    /// A model whose network takes the guidance scale as an input: guidance was distilled into it (Meng et al., 2023),
    /// and it needs only a few steps, as a latent consistency model.
    ///
    /// - Parameters: as for the other initialiser
    init(embeddingGuidance titles: [String], _ path: String, tellsItsScheduler: Bool) {
        let named = titles.lazy.compactMap { Self.steps(Self.words($0)) }.first
        (method, self.path, steps, guidance) = (.lcm, path, named ?? 4, 8.5)
        (scheduler, spacing) = (tellsItsScheduler ? nil : .lcm, nil)
        (predictsPicture, isOfAdapter) = (false, false)
        evidence = "by the guidance input of its UNet"
    }

    /// The same for a LoRA that turns a model into a distilled one.
    init?(ofLoRA titles: [String], _ path: String) {
        self.init(titles, path, isLoRA: true, usesOwnScheduler: false)
    }

    private init?(_ titles: [String], _ path: String, isLoRA: Bool, usesOwnScheduler: Bool) {
        var found: (Method, [String])?
        for words in titles.map(Self.words) where found == nil {
            found = Self.method(words, isLoRA: isLoRA).map { ($0, words) }
        }
        guard let (method, words) = found else { return nil }
        let named = Self.steps(words)
        isOfAdapter = isLoRA
        predictsPicture = zip(words, words.dropFirst()).contains { $0 == "x" && $1 == "0" }
        let kind: SchedulerKind
        switch method {
        case .turbo: kind = .eulerAncestral
        case .lightning: kind = .euler
        case .lcm: kind = .lcm
        case .hyper: kind = .ddim
        }
        scheduler = usesOwnScheduler ? nil : kind
        spacing = usesOwnScheduler || method == .lcm ? nil : .trailing
        (self.method, self.path) = (method, path)
        evidence = "by its name"
        steps = named ?? (method == .hyper ? 8 : 4)
        // The Hyper-SD models with CFG in their names still use a negative prompt, and need it.
        guidance = method == .hyper && words.contains("cfg") ? 5 : 1
    }

    /// Words and numbers of a name: `SDXL-Lightning_4step` is sdxl, lightning, 4, step.
    private static func words(_ title: String) -> [String] {
        var words: [String] = []
        var last: Character?
        for character in title.prefix(200) {
            let begins =
                last.map { last in
                    last.isNumber != character.isNumber
                        || (last.isLowercase && character.isUppercase)
                } ?? true
            defer { last = character.isLetter || character.isNumber ? character : nil }
            guard character.isLetter || character.isNumber else { continue }
            if begins || words.isEmpty {
                words.append(String(character))
            } else {
                words[words.count - 1].append(character)
            }
        }
        return words.map { $0.lowercased() }
    }

    private static func method(_ words: [String], isLoRA: Bool) -> Method? {
        // Lightning and turbos are also subjects of LoRAs: such names must also mention a model or a number of steps.
        let isSure =
            !isLoRA || steps(words) != nil
            || words.contains { ["sdxl", "xl", "sd"].contains($0) }
        func has(_ word: String) -> Bool {
            words.contains { $0 == word || $0 == "xl\(word)" || $0 == "sdxl\(word)" }
        }
        if has("lcm") { return .lcm }
        if words.contains("hypersd") || words.contains("hypersdxl")
            || zip(words, words.dropFirst()).contains(where: { $0 == "hyper" && $1.hasPrefix("sd") }
            )
        {
            return .hyper
        }
        guard isSure else { return nil }
        if has("lightning") { return .lightning }
        return has("turbo") ? .turbo : nil
    }

    /// The number before "step" or "steps".
    private static func steps(_ words: [String]) -> Int? {
        for (number, word) in zip(words, words.dropFirst()) where ["step", "steps"].contains(word) {
            if let steps = Int(number), (1...16).contains(steps) { return steps }
        }
        return nil
    }
}

extension LoRASource {
    /// The file's titles: its name, and those in its metadata.
    var titles: [String] {
        let metadata = (try? SafeTensors(file: path))?.metadata ?? [:]
        return [URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent]
            + ["modelspec.title", "ss_output_name"].compactMap { metadata[$0] }
    }
}

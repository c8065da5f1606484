import Engine
import Sampling

/// The settings of a render as text for the PNG: in the form that other tools read, and as JSON.
package struct PictureText: Sendable {
    package let prompt: String
    package let negativePrompt: String?
    package let settings: RenderSettings
    package let model: String
    package let loras: [LoRASource]
    /// File name and digest of the init image.
    package let picture: (name: String, digest: String)?
    /// File name and digest of the mask.
    package let mask: (name: String, digest: String)?
    /// How far the init image grows.
    package let growth: PictureGrowth
    /// Number of chunks that the prompts were split into.
    package let promptChunks: Int
    /// Prompts of the second text encoder.
    package let secondPrompts: (positive: String?, negative: String?)
    /// Words of the textual inversions, each with its digest.
    package let embeddings: [String]
    /// Parts of the model that come from other files, by flag.
    package let parts: [(flag: String, name: String)]
    package let digest: String
    /// What the network predicts.
    package let prediction: PredictionType?
    package let version: String
    /// Files that the text records only by name, by flag.
    package var unstored: [(flag: String, name: String)] = []
    /// Quality of a lossy format, if it is not the default.
    package var quality: Int?
    /// What the picture was computed with; nil if unknown.
    private(set) var computation: Computation?

    package init(
        prompt: String,
        negativePrompt: String?,
        plan: RenderPlan,
        model: String,
        loras: [LoRASource] = [],
        picture: (name: String, digest: String)? = nil,
        mask: (name: String, digest: String)? = nil,
        growth: PictureGrowth = PictureGrowth(),
        promptChunks: Int = 1,
        secondPrompts: (positive: String?, negative: String?) = (nil, nil),
        embeddings: [String] = [],
        parts: [(flag: String, name: String)] = [],
        digest: String,
        prediction: PredictionType? = nil,
        version: String
    ) {
        self.prediction = prediction
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        settings = plan.resolvedSettings
        self.model = model
        self.loras = loras
        (self.picture, self.mask, self.growth) = (picture, mask, growth)
        self.promptChunks = promptChunks
        (self.secondPrompts, self.embeddings) = (secondPrompts, embeddings)
        self.parts = parts
        self.digest = digest
        self.version = version
    }

    /// What a picture was computed with, which its bytes depend on; several values are separated by commas.
    package struct Computation: Equatable, Sendable {
        package let backend: String
        package let precision: String
        /// Processor models, with the vector features that select kernels, and GPU models.
        package let device: String
    }

    /// The same text with what the picture was computed with.
    ///
    /// - Parameters:
    ///   - workers: those that have computed anything count, or all active ones if none has
    ///   - globalPass: the renderer of phase 1, if the workers do not render it
    /// - Returns: the text
    func computed(by workers: [WorkerStatistics], globalPass: LocalRenderer?) -> PictureText {
        let busy = workers.filter { $0.views + $0.tiles > 0 }
        let counted = busy.isEmpty ? workers.filter(\.isActive) : busy
        guard !counted.isEmpty else { return self }
        let own = globalPass?.evaluator.networks
        func list(_ own: String?, _ names: [String]) -> String {
            Set(names + (own.map { [$0] } ?? [])).sorted().joined(separator: ", ")
        }
        // Which of several identical GPUs took part is arbitrary, and makes no difference.
        func kind(_ title: String) -> String { TorchDevices.model(ofTitle: title) ?? title }
        var text = self
        text.computation = Computation(
            backend: list(own?.backend, counted.map(\.backend)),
            precision: list(own?.precision, counted.map(\.precision)),
            device: list(own?.device.map(kind), counted.map { kind($0.processor) })
        )
        return text
    }

    /// Keys and values of the PNG's text chunks.
    package var chunks: [(key: String, value: String)] {
        [
            ("parameters", parameters), ("tessera", json), ("Software", "Tessera \(version)"),
        ]
    }

    /// The line format in which Stable Diffusion web interfaces exchange settings.
    package var parameters: String {
        var lines = [prompt]
        if let negativePrompt { lines.append("Negative prompt: \(negativePrompt)") }
        lines.append(settingsLine.text)
        return lines.joined(separator: "\n")
    }

    private var settingsLine: SettingsLine {
        var line = SettingsLine()
        for setting in Settings.all {
            if let text = setting.text(of: settings) { line.add(text.key, text.value) }
            addFacts(after: setting.name, to: &line)
        }
        if let computation {
            line.add("Precision", computation.precision)
            line.add("Backend", computation.backend)
            line.add("Device", computation.device)
        }
        line.add("Version", "Tessera \(version)")
        return line
    }

    /// Names of the parts in web interfaces.
    static let partLabels = ["vae": "VAE", "base": "Base model", "refiner": "Refiner"]

    /// Adds facts about the files used, each after the setting that it follows in other programs' output.
    private func addFacts(after name: String, to line: inout SettingsLine) {
        switch name {
        case Settings.size.name:
            line.add("Model hash", "\(digest.prefix(10))")
            line.add("Model", model)
            if let text = secondPrompts.positive { line.add("Prompt 2", text) }
            if let text = secondPrompts.negative { line.add("Negative prompt 2", text) }
            for part in parts { line.add(Self.partLabels[part.flag] ?? part.flag, part.name) }
        case Settings.sgmUniform.name:
            // Each gets its own key: parsers keep only the last of two values with the same key.
            for (i, lora) in loras.enumerated() {
                line.add(i == 0 ? "LoRA" : "LoRA \(i + 1)", lora.description)
            }
            if !embeddings.isEmpty {
                let pairs = embeddings.map { $0.replacing(/:(\w+)$/) { ": \($0.1)" } }
                line.add("TI hashes", pairs.joined(separator: ", "))
            }
        case Settings.strength.name:
            if let picture { line.add("Init image hash", "\(picture.digest.prefix(10))") }
            if let mask { line.add("Mask hash", "\(mask.digest.prefix(10))") }
            if !growth.isNone { line.add("Extended", growth.written.replacing(",", with: " ")) }
        default: break
        }
    }

    /// Every setting, keyed by its command-line flag, and everything else that affects the picture.
    package var json: String {
        var fields = settings.json
        fields["prompt"] = .string(prompt)
        fields["negative-prompt"] = negativePrompt.map(JSON.string)
        fields["prompt-2"] = secondPrompts.positive.map(JSON.string)
        fields["negative-prompt-2"] = secondPrompts.negative.map(JSON.string)
        if !embeddings.isEmpty { fields["embedding"] = .array(embeddings.map(JSON.string)) }
        fields["model"] = .string(model)
        for part in parts { fields[part.flag] = .string(part.name) }
        for file in unstored { fields[file.flag] = .string(file.name) }
        fields["quality"] = quality.map { .number(Double($0)) }
        fields["model-digest"] = .string(digest)
        fields["version"] = .string(version)
        fields["init-image"] = (picture?.name).map(JSON.string)
        fields["init-image-digest"] = (picture?.digest).map(JSON.string)
        fields["mask"] = (mask?.name).map(JSON.string)
        fields["mask-digest"] = (mask?.digest).map(JSON.string)
        if !growth.isNone { fields["extend"] = .string(growth.written) }
        fields["precision"] = (computation?.precision).map(JSON.string)
        fields["backend"] = (computation?.backend).map(JSON.string)
        fields["device"] = (computation?.device).map(JSON.string)
        fields["prediction"] = (prediction?.rawValue).map(JSON.string)
        // Omitted for one chunk, so that the metadata of short prompts is the same as before chunks existed.
        if promptChunks > 1 { fields["prompt-chunks"] = .number(Double(promptChunks)) }
        if !loras.isEmpty { fields["lora"] = .array(loras.map { .string($0.description) }) }
        return JSON.object(fields).text
    }
}

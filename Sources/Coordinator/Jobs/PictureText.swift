import Engine
import Sampling

/// The settings of a render as text for the PNG: one form that other tools read, and JSON.
package struct PictureText: Sendable {
    package let prompt: String
    package let negativePrompt: String?
    package let settings: RenderSettings
    package let model: String
    package let loras: [LoRASource]
    /// File and digest of the picture that it began with.
    package let picture: (name: String, digest: String)?
    /// Chunks that the prompts were cut into.
    package let promptChunks: Int
    /// Prompts of the second text encoder.
    package let secondPrompts: (positive: String?, negative: String?)
    /// Words of textual inversions, with the digest of each.
    package let embeddings: [String]
    package let digest: String
    /// What the network was taken to predict.
    package let prediction: PredictionType?
    package let version: String

    package init(
        prompt: String,
        negativePrompt: String?,
        plan: RenderPlan,
        model: String,
        loras: [LoRASource] = [],
        picture: (name: String, digest: String)? = nil,
        promptChunks: Int = 1,
        secondPrompts: (positive: String?, negative: String?) = (nil, nil),
        embeddings: [String] = [],
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
        self.picture = picture
        self.promptChunks = promptChunks
        (self.secondPrompts, self.embeddings) = (secondPrompts, embeddings)
        self.digest = digest
        self.version = version
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
        line.add("Version", "Tessera \(version)")
        return line
    }

    /// Of the files that are used: each stands behind the setting that other programs write before it.
    private func addFacts(after name: String, to line: inout SettingsLine) {
        switch name {
        case Settings.size.name:
            line.add("Model hash", "\(digest.prefix(10))")
            line.add("Model", model)
        case Settings.sgmUniform.name:
            // One key each: of two values with the same key, parsers keep the last.
            for (i, lora) in loras.enumerated() {
                line.add(i == 0 ? "LoRA" : "LoRA \(i + 1)", lora.description)
            }
        case Settings.strength.name:
            if let picture { line.add("Init image hash", "\(picture.digest.prefix(10))") }
        default: break
        }
    }

    /// Every setting, keyed by the command line's flags, and what else decides the picture.
    package var json: String {
        var fields = settings.json
        fields["prompt"] = .string(prompt)
        fields["negative-prompt"] = negativePrompt.map(JSON.string)
        fields["prompt-2"] = secondPrompts.positive.map(JSON.string)
        fields["negative-prompt-2"] = secondPrompts.negative.map(JSON.string)
        if !embeddings.isEmpty { fields["embedding"] = .array(embeddings.map(JSON.string)) }
        fields["model"] = .string(model)
        fields["model-digest"] = .string(digest)
        fields["version"] = .string(version)
        fields["init-image"] = (picture?.name).map(JSON.string)
        fields["init-image-digest"] = (picture?.digest).map(JSON.string)
        fields["prediction"] = (prediction?.rawValue).map(JSON.string)
        // Not of one: pictures of short prompts stay as they were before there were chunks.
        if promptChunks > 1 { fields["prompt-chunks"] = .number(Double(promptChunks)) }
        if !loras.isEmpty { fields["lora"] = .array(loras.map { .string($0.description) }) }
        return JSON.object(fields).text
    }
}

import Coordinator
import Engine
import Sampling

extension JobRequest {
    /// The options of the render, with names resolved to files that only the service knows.
    ///
    /// - Parameters:
    ///   - resources: models, LoRAs and pictures on the server
    ///   - suggestions: settings suggested by the model's own file
    /// - Returns: the resolved options
    /// - Throws: `InputError` naming a setting, a tag in the prompt, or a missing resource
    package func options(
        _ resources: JobResources,
        suggestions: SuggestionMemory = SuggestionMemory()
    ) throws(InputError) -> PictureOptions {
        let model = try resources.models.find(model)
        var modelOptions = model.isDefault ? resources.standardOptions : ModelOptions()
        for lora in try allLoRAs() {
            modelOptions.loras.append(
                LoRASource(
                    path: try resources.loras.file(of: lora.name),
                    weight: Float(lora.weight)
                )
            )
        }
        var options = PictureOptions(
            prompt: prompt,
            negativePrompt: negativePrompt,
            prompt2: prompt2,
            negativePrompt2: negativePrompt2,
            model: model.path,
            modelOptions: modelOptions,
            settings: try SettingChoices(json: settings),
            picture: try choice(initImage, "initImage", resources.inputs)
        )
        options.mask = try choice(mask, "mask", resources.inputs)
        options.preset = preset
        options.suggestions = suggestions
        return options
    }

    private func choice(
        _ id: String?,
        _ field: String,
        _ inputs: InputFolder
    ) throws(InputError) -> PictureChoice? {
        guard let id else { return nil }
        return PictureChoice(path: try inputs.file(of: id, field: field), limits: inputs.limits)
    }

    /// The LoRAs to merge, in this order: those of the field, then those named in the prompt.
    private func allLoRAs() throws(InputError) -> [LoRA] { try loras + taggedLoRAs() }

    /// Identifies what workers must have loaded: renders with the same weights can share workers.
    ///
    /// - Parameter model: name of the model
    /// - Returns: the model's name and the LoRAs merged into it
    /// - Throws: `InputError` for a tag that cannot be parsed
    func weights(model: String) throws(InputError) -> String {
        ([model] + (try allLoRAs()).map { "\($0.name):\($0.weight)" }).joined(separator: "\n")
    }

    /// LoRAs from tags such as `<lora:name:0.8>`, if the prompt has A1111's syntax.
    private func taggedLoRAs() throws(InputError) -> [LoRA] {
        guard settings[Settings.promptSyntax.name] == PromptSyntax.a1111.json else { return [] }
        for (field, text) in [
            ("negativePrompt", negativePrompt), ("prompt2", prompt2),
            ("negativePrompt2", negativePrompt2),
        ] {
            guard let tag = PromptTag.tags(in: text ?? "").first else { continue }
            throw InputError(
                "\(field): \(tag.text)",
                "tags are read in 'prompt' only",
                fix: "Move it there"
            )
        }
        var loras: [LoRA] = []
        for tag in PromptTag.tags(in: prompt) {
            let weight = tag.arguments.count == 2 ? Double(tag.arguments[1]) : 1
            guard ["lora", "lyco"].contains(tag.kind), (1...2).contains(tag.arguments.count),
                let weight, (-100...100).contains(weight)
            else {
                throw InputError(
                    "prompt: \(tag.text)",
                    "the service does not understand this tag",
                    fix: "Write <lora:name:0.8>, or leave it out"
                )
            }
            loras.append(LoRA(name: tag.arguments[0], weight: weight))
        }
        return loras
    }
}

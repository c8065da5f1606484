import Coordinator
import Engine
import Sampling

/// What a client asks for: the picture that a job renders.
package struct JobRequest: Equatable, Sendable {
    /// The picture's file format.
    package enum Format: String, CaseIterable, Sendable {
        case png
        case tif
    }

    package var prompt: String
    package var negativePrompt: String?
    package var prompt2: String?
    package var negativePrompt2: String?
    /// Name in the catalogue; nil for the service's default model.
    package var model: String?
    /// By the settings' names (`Settings`).
    package var settings: [String: JSON] = [:]
    package var format = Format.png
    /// Bits per channel.
    package var depth = PixelDepth.eight

    package init(prompt: String) { self.prompt = prompt }

    /// Reads a request strictly: a field that is unknown or has the wrong type is an error.
    ///
    /// - Throws: `InputError` naming the field
    package init(json: JSON) throws(InputError) {
        guard let object = json.object else {
            throw InputError("the request", "it is not a JSON object", fix: "Send {\"prompt\": …}")
        }
        self.init(prompt: "")
        for (name, value) in object.sorted(by: { $0.key < $1.key }) {
            guard let field = Self.fields.first(where: { $0.name == name }) else {
                throw InputError(
                    name,
                    "it is not a known field",
                    fix: "Choose from " + Self.fields.map(\.name).joined(separator: ", ")
                )
            }
            // Null is the same as leaving the field out.
            if value != .null { try field.read(value, &self) }
        }
        guard !prompt.isEmpty else {
            throw InputError("prompt", "it is missing", fix: "Describe the picture")
        }
        _ = try SettingChoices(json: settings)
    }

    /// The request, with every field that is set.
    package var json: JSON {
        var object: [String: JSON] = [:]
        for field in Self.fields {
            let value = field.write(self)
            if value != .null { object[field.name] = value }
        }
        return .object(object)
    }

    /// The render's options, with files that only the service knows.
    ///
    /// - Parameters:
    ///   - path: of the model
    ///   - suggestions: what the model's own file suggests
    /// - Returns: the options
    /// - Throws: `InputError` naming a setting or a tag of the prompt
    package func options(
        model path: String,
        suggestions: SuggestionMemory = SuggestionMemory()
    ) throws(InputError) -> PictureOptions {
        let choices = try SettingChoices(json: settings)
        if let tag = PromptTag.tags(in: prompt).first, settings["prompt-syntax"] == .string("a1111")
        {
            throw InputError(
                "prompt: \(tag.text)",
                "tags are not supported by the service",
                fix: "Leave it out"
            )
        }
        var options = PictureOptions(
            prompt: prompt,
            negativePrompt: negativePrompt,
            prompt2: prompt2,
            negativePrompt2: negativePrompt2,
            model: path,
            settings: choices
        )
        options.suggestions = suggestions
        return options
    }
}

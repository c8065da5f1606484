import Coordinator
import Engine
import Sampling

/// A request to OpenAI's images API. Pure.
package struct OpenAIRequest: Equatable, Sendable {
    package var prompt: String
    package var model: String?
    /// Number of pictures, 1…10.
    package var count = 1
    /// Size of the picture; nil for the model's native size.
    package var size: Extent?
    /// The preset for the requested quality; nil for `auto`.
    package var preset: Preset?
    /// Whether to return links instead of the pictures themselves.
    package var wantsLinks = false
    /// Whether the response is a stream of events.
    package var streams = false
    /// Maximum number of pictures of finished phases in a stream.
    package var partialImages = 0
    package var user: String?
    package var format = JobRequest.Format.png
    /// Quality of lossy formats, 1…100.
    package var fileQuality: Int?

    /// Parses a request. Unknown fields are ignored, as clients of this API expect.
    ///
    /// - Throws: `InputError` naming the field
    package init(json: JSON) throws(InputError) {
        guard let object = json.object else {
            throw InputError("the request", "it is not a JSON object", fix: "Send {\"prompt\": …}")
        }
        func text(_ name: String) throws(InputError) -> String? {
            guard let value = object[name], value != .null else { return nil }
            guard let text = value.string else { throw JobRequest.wrongType(name, "text") }
            return text
        }
        func choice(_ name: String, _ words: [String]) throws(InputError) -> String? {
            guard let word = try text(name) else { return nil }
            guard words.contains(word) else {
                throw InputError(
                    name,
                    "'\(word.prefix(60))' is not supported",
                    fix: "Choose from " + words.joined(separator: ", ")
                )
            }
            return word
        }
        guard let prompt = try text("prompt"), !prompt.isEmpty else {
            throw InputError("prompt", "it is missing", fix: "Describe the picture")
        }
        self.prompt = prompt
        model = try text("model")
        if let value = object["n"], value != .null {
            guard let number = value.integer, (1...10).contains(number) else {
                throw JobRequest.wrongType("n", "a whole number from 1 to 10")
            }
            count = number
        }
        if let words = try text("size"), words != "auto" {
            guard let size = Extent(written: words) else {
                throw JobRequest.wrongType("size", "a size such as \"1024x1024\", or \"auto\"")
            }
            self.size = size
        }
        let presets: [String: Preset] = [
            "low": .draft, "medium": .standard, "standard": .standard, "high": .fine, "hd": .fine,
        ]
        preset = try choice("quality", ["auto", "low", "medium", "high", "standard", "hd"])
            .flatMap { presets[$0] }
        if let name = try choice("output_format", ["png", "jpeg", "webp"]) {
            format = JobRequest.Format(rawValue: name) ?? .png
        }
        if let value = object["output_compression"], value != .null {
            guard let number = value.integer, (0...100).contains(number) else {
                throw JobRequest.wrongType("output_compression", "a whole number from 0 to 100")
            }
            fileQuality = format.isLossy ? max(1, number) : nil
        }
        wantsLinks = try choice("response_format", ["b64_json", "url"]) == "url"
        if let value = object["stream"], value != .null {
            guard let flag = value.bool else {
                throw JobRequest.wrongType("stream", "true or false")
            }
            streams = flag
        }
        if let value = object["partial_images"], value != .null {
            guard let number = value.integer, (0...3).contains(number) else {
                throw JobRequest.wrongType("partial_images", "a whole number from 0 to 3")
            }
            partialImages = number
        }
        user = try text("user")
    }

    /// Model names that OpenAI's own clients send; they select the default model.
    private static let foreignModels: Set<String> = [
        "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5",
    ]

    /// The job request, without a seed.
    package var request: JobRequest {
        var request = JobRequest(prompt: prompt)
        request.model = model.flatMap { Self.foreignModels.contains($0) ? nil : $0 }
        if let size { request.settings["size"] = size.json }
        (request.format, request.quality) = (format, fileQuality)
        request.preset = preset
        request.storesPhases = streams && partialImages > 0
        return request
    }
}

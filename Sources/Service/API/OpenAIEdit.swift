import Engine
import Sampling

/// A request for another version of a picture, as OpenAI's clients send it: a form. Pure.
package struct OpenAIEdit: Equatable, Sendable {
    package let wanted: OpenAIRequest
    /// The file of the picture.
    package let image: ArraySlice<UInt8>
    /// The file of the mask, whose transparent pixels change; nil for none.
    package let mask: ArraySlice<UInt8>?

    /// What a variation shows, of which clients say nothing.
    private static let emptyPrompt = " "
    /// Fields that are numbers, or true or false, in JSON.
    private static let numbers: Set<String> = ["n", "partial_images", "output_compression"]
    private static let flags: Set<String> = ["stream"]

    /// - Parameters:
    ///   - form: of the request
    ///   - isVariation: whether it has no prompt
    /// - Throws: `InputError` naming the field
    package init(_ form: MultipartForm, isVariation: Bool) throws(InputError) {
        let images = form.parts.filter { ["image", "image[]"].contains($0.name) }
        guard let image = images.first, images.count == 1 else {
            throw InputError(
                "image",
                images.isEmpty ? "it is missing" : "there are \(images.count)",
                fix: "Send one picture"
            )
        }
        var fields: [String: JSON] = [:]
        for part in form.parts where part.fileName == nil && !images.contains(part) {
            guard let text = part.text else {
                throw InputError(part.name, "it is not UTF-8", fix: "Send text")
            }
            if Self.numbers.contains(part.name) {
                fields[part.name] = Double(text).map(JSON.number) ?? .string(text)
            } else if Self.flags.contains(part.name), ["true", "false"].contains(text.lowercased())
            {
                fields[part.name] = .bool(text.lowercased() == "true")
            } else {
                fields[part.name] = .string(text)
            }
        }
        if isVariation { fields["prompt"] = .string(Self.emptyPrompt) }
        wanted = try OpenAIRequest(json: .object(fields))
        self.image = image.content
        mask = isVariation ? nil : form["mask"]?.content
    }
}

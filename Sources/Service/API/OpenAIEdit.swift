import Engine
import Sampling

/// A form request for a modified version of a picture, as OpenAI's clients send it. Pure.
package struct OpenAIEdit: Equatable, Sendable {
    package let wanted: OpenAIRequest
    /// The picture file.
    package let image: ArraySlice<UInt8>
    /// The mask file, whose transparent pixels change; nil if there is none.
    package let mask: ArraySlice<UInt8>?

    /// The prompt of a variation, for which clients send none.
    private static let emptyPrompt = " "
    /// Fields that are numbers or Booleans in JSON.
    private static let numbers: Set<String> = ["n", "partial_images", "output_compression"]
    private static let flags: Set<String> = ["stream"]

    /// - Parameters:
    ///   - form: the request's form
    ///   - isVariation: whether the request is for a variation, which has no prompt
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

import Coordinator
import Engine
import Sampling

/// A client's request for a picture, which a job renders.
package struct JobRequest: Equatable, Sendable {
    /// The picture's file format.
    package enum Format: String, CaseIterable, Sendable {
        case png
        case tif
        case jpeg
        case webp

        /// Content type of responses with such a file.
        package var contentType: String {
            switch self {
            case .png: "image/png"
            case .tif: "image/tiff"
            case .jpeg: "image/jpeg"
            case .webp: "image/webp"
            }
        }

        /// Whether the format is lossy and has a quality setting.
        var isLossy: Bool { self == .jpeg || self == .webp }
    }

    /// A LoRA to merge.
    package struct LoRA: Equatable, Sendable {
        /// Name in the service's list.
        package let name: String
        package let weight: Double

        package init(name: String, weight: Double) { (self.name, self.weight) = (name, weight) }
    }

    package var prompt: String
    package var negativePrompt: String?
    package var prompt2: String?
    package var negativePrompt2: String?
    /// Name of the model in the catalogue; nil for the service's default model.
    package var model: String?
    /// The preset for the settings of the method; nil for the model's own choice.
    package var preset: Preset?
    /// Values by the names of the settings (`Settings`).
    package var settings: [String: JSON] = [:]
    package var format = Format.png
    /// Bits per channel.
    package var depth = PixelDepth.eight
    /// Quality of lossy formats, 1…100; nil for the default.
    package var quality: Int?
    /// Id of the stored init image.
    package var initImage: String?
    /// Id of the stored mask, which is white where the init image changes.
    package var mask: String?
    package var loras: [LoRA] = []
    /// Whether to also store a picture of each finished phase except the last.
    package var storesPhases = false

    package init(prompt: String) { self.prompt = prompt }

    /// Parses a request strictly: a field that is unknown or has the wrong type is an error.
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
            // Null is the same as a missing field.
            if value != .null { try field.read(value, &self) }
        }
        guard !prompt.isEmpty else {
            throw InputError("prompt", "it is missing", fix: "Describe the picture")
        }
        _ = try SettingChoices(json: settings)
        guard mask == nil || initImage != nil else {
            throw InputError("mask", "there is no picture to change", fix: "Give initImage, too")
        }
        guard quality == nil || format.isLossy else {
            throw InputError(
                "quality",
                "the format \(format.rawValue) is lossless",
                fix: "Leave it out, or choose the format jpeg or webp"
            )
        }
    }

    /// The request as JSON, with every field that is set.
    package var json: JSON {
        var object: [String: JSON] = [:]
        for field in Self.fields {
            let value = field.write(self)
            if value != .null { object[field.name] = value }
        }
        return .object(object)
    }

}

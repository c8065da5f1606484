import Coordinator
import Engine
import Sampling

extension JobRequest {
    /// One field of the request: how to read, write and describe it.
    package struct Field: Sendable {
        package let name: String
        package let help: String
        package let schema: Schema
        package let isRequired: Bool
        let read: @Sendable (JSON, inout JobRequest) throws(InputError) -> Void
        let write: @Sendable (JobRequest) -> JSON
    }

    /// Maximum characters of a prompt.
    package static let maxPrompt = 20_000

    /// All fields; the API's document and the parser are both generated from this list.
    package static let fields: [Field] = [
        text("prompt", "What the picture shows.", \.prompt),
        text("negativePrompt", "What the picture must not show.", \.negativePrompt),
        text(
            "prompt2",
            "What the picture shows, for the second text encoder of Stable Diffusion XL.",
            \.prompt2
        ),
        text(
            "negativePrompt2",
            "What the picture must not show, for the second text encoder.",
            \.negativePrompt2
        ),
        text("model", "Name of a model, as /api/v1/models lists it.", \.model),
        Field(
            name: "preset",
            help: "What the picture may cost, as --preset of tessera render; settings override it.",
            schema: .choice(Preset.allCases.map(\.rawValue)),
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let preset = json.string.flatMap(Preset.init(rawValue:)) else {
                    throw wrongType(
                        "preset",
                        "one of " + Preset.allCases.map(\.rawValue).joined(separator: ", ")
                    )
                }
                request.preset = preset
            },
            write: { $0.preset.map { .string($0.rawValue) } ?? .null }
        ),
        Field(
            name: "settings",
            help: "Settings of the render, by the names of the flags of tessera render.",
            schema: .reference("Settings"),
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let object = json.object else { throw wrongType("settings", "an object") }
                request.settings = object.filter { $0.value != .null }
            },
            write: { $0.settings.isEmpty ? .null : .object($0.settings) }
        ),
        Field(
            name: "format",
            help: "File format of the picture.",
            schema: .choice(Format.allCases.map(\.rawValue)),
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let format = json.string.flatMap(Format.init(rawValue:)) else {
                    throw wrongType(
                        "format",
                        "one of " + Format.allCases.map(\.rawValue).joined(separator: ", ")
                    )
                }
                request.format = format
            },
            write: { .string($0.format.rawValue) }
        ),
        Field(
            name: "bitDepth",
            help: "Bits per channel of the picture.",
            schema: .integers([8, 16]),
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let depth = json.integer.flatMap(PixelDepth.init(rawValue:)) else {
                    throw wrongType("bitDepth", "8 or 16")
                }
                request.depth = depth
            },
            write: { .number(Double($0.depth.rawValue)) }
        ),
        Field(
            name: "quality",
            help: "Quality of a jpeg or webp. Default: \(PictureFormat.defaultQuality).",
            schema: .given(
                .object([
                    "type": .string("integer"), "minimum": .number(1), "maximum": .number(100),
                ])
            ),
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let quality = json.integer, (1...100).contains(quality) else {
                    throw wrongType("quality", "a whole number from 1 to 100")
                }
                request.quality = quality
            },
            write: { .optional($0.quality) }
        ),
        text(
            "initImage",
            "Picture to start from: an id that /api/v1/pictures answered.",
            \.initImage
        ),
        text("mask", "Picture that is white where initImage changes: such an id, too.", \.mask),
        Field(
            name: "loras",
            help: "LoRA files to merge, as /api/v1/loras lists them, with weights (default: 1).",
            schema: .array(.reference("LoRA")),
            isRequired: false,
            read: { json, request throws(InputError) in request.loras = try LoRA.list(json) },
            write: { $0.loras.isEmpty ? .null : .array($0.loras.map(\.json)) }
        ),
        Field(
            name: "phasePictures",
            help:
                "Whether a picture of each finished phase but the last is stored, too. Default: false.",
            schema: .boolean,
            isRequired: false,
            read: { json, request throws(InputError) in
                guard let flag = json.bool else {
                    throw wrongType("phasePictures", "true or false")
                }
                request.storesPhases = flag
            },
            write: { $0.storesPhases ? .bool(true) : .null }
        ),
    ]

    private static func text(
        _ name: String,
        _ help: String,
        _ path: WritableKeyPath<JobRequest, String> & Sendable
    ) -> Field {
        Field(
            name: name,
            help: help,
            schema: .string,
            isRequired: true,
            read: { json, request throws(InputError) in
                request[keyPath: path] = try checked(json, name)
            },
            write: { .string($0[keyPath: path]) }
        )
    }

    private static func text(
        _ name: String,
        _ help: String,
        _ path: WritableKeyPath<JobRequest, String?> & Sendable
    ) -> Field {
        Field(
            name: name,
            help: help,
            schema: .string,
            isRequired: false,
            read: { json, request throws(InputError) in
                request[keyPath: path] = try checked(json, name)
            },
            write: { $0[keyPath: path].map(JSON.string) ?? .null }
        )
    }

    private static func checked(_ json: JSON, _ name: String) throws(InputError) -> String {
        guard let text = json.string else { throw wrongType(name, "text") }
        guard text.utf8.count <= maxPrompt else {
            throw InputError(
                name,
                "it is longer than \(maxPrompt) bytes",
                fix: "Shorten it"
            )
        }
        // The metadata of a picture cannot contain NUL.
        guard !text.utf8.contains(0) else {
            throw InputError(name, "it contains a NUL character", fix: "Remove it")
        }
        return text
    }

    static func wrongType(_ name: String, _ form: String) -> InputError {
        InputError(name, "its value cannot be read", fix: "Give \(form)")
    }
}

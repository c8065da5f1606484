import CSodium
import Foundation

/// A model in Diffusers layout: `model_index.json` and one folder per component.
package struct ModelFolder: Sendable {
    /// The architectures that are known, told apart by their components.
    package enum Family: String, Sendable {
        case sd1
        case sd2
        case sdxl
    }

    package let path: String
    package let family: Family
    /// Whether "no negative prompt" means zeros instead of the empty prompt's embedding.
    package let forceZerosForEmptyPrompt: Bool

    /// Reads `model_index.json`; no weights.
    ///
    /// - Throws: `InputError` naming what is missing or not supported
    package init(path: String) throws(InputError) {
        self.path = path
        let index = "\(path)/model_index.json"
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw InputError(path, "there is no such model", fix: "Name a folder with --model")
        }
        guard isFolder.boolValue else {
            throw InputError(
                path,
                "it is a file",
                fix: "Name a folder in Diffusers layout with --model"
            )
        }
        guard FileManager.default.fileExists(atPath: index) else {
            throw InputError(
                path,
                "there is no model_index.json in it",
                fix: "It must be a model in Diffusers layout"
            )
        }
        var config = try ConfigReader(file: index)
        let kind = try config.string("_class_name", default: "")
        switch kind {
        case "StableDiffusionXLPipeline":
            family = .sdxl
        case "StableDiffusionPipeline":
            // SD 2 differs from SD 1 in its projections; the UNet's own file says so.
            let unet = try JSON(
                try InputFile.bytes("\(path)/unet/config.json"),
                place: "\(path)/unet/config.json"
            )
            family = unet.object?["use_linear_projection"]?.bool == true ? .sd2 : .sd1
        default:
            throw config.fault(
                "_class_name",
                "'\(kind)' is not supported",
                fix: "Use a StableDiffusionPipeline or StableDiffusionXLPipeline"
            )
        }
        forceZerosForEmptyPrompt = try config.bool(
            "force_zeros_for_empty_prompt",
            default: family == .sdxl
        )
        for component in ["unet", "vae", "scheduler", "tokenizer", "text_encoder"]
            + (family == .sdxl ? ["tokenizer_2", "text_encoder_2"] : [])
        where !FileManager.default.fileExists(atPath: "\(path)/\(component)") {
            throw InputError(
                "\(path)/\(component)",
                "this part of the model is missing",
                fix: "Fetch it"
            )
        }
    }

    package var unetConfigPath: String { "\(path)/unet/config.json" }
    package var vaeConfigPath: String { "\(path)/vae/config.json" }
    package var schedulerConfigPath: String { "\(path)/scheduler/scheduler_config.json" }

    /// Identity of what workers compute with: BLAKE2b-256, in hexadecimal, over config.json and
    /// weights of the UNet and the VAE, each preceded by its length.
    ///
    /// - Throws: `InputError` when a file is missing
    package func digest() throws(InputError) -> String {
        let hash = FileHash()
        for component in ["unet", "vae"] {
            try hash.add("\(path)/\(component)/config.json")
            try hash.add(WeightReader.file(folder: path, component: component))
        }
        return hash.finish()
    }
}

/// BLAKE2b-256 over files, each preceded by its length.
private final class FileHash {
    private static let bytes = 32
    private let memory = UnsafeMutableRawPointer.allocate(
        byteCount: crypto_generichash_statebytes(),
        alignment: 64
    )
    private var state: OpaquePointer { OpaquePointer(memory) }

    init() { crypto_generichash_init(state, nil, 0, Self.bytes) }

    deinit { memory.deallocate() }

    /// Adds a file, a piece at a time.
    func add(_ file: String) throws(InputError) {
        let (descriptor, size) = try InputFile.open(file)
        defer { close(descriptor) }
        let length = (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
        crypto_generichash_update(state, length, UInt64(length.count))
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw InputError(file, "it cannot be read to its end", fix: "Check the disk")
            }
            if count == 0 { return }
            crypto_generichash_update(state, buffer, UInt64(count))
        }
    }

    /// The hash, in hexadecimal.
    func finish() -> String {
        var hash = [UInt8](repeating: 0, count: Self.bytes)
        crypto_generichash_final(state, &hash, Self.bytes)
        return hash.map { String(format: "%02x", $0) }.joined()
    }
}

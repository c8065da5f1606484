import CSodium
import Foundation

/// A model in the Diffusers layout: a folder with model_index.json and one folder per component.
package struct ModelFolder: Sendable {
    /// Which prompt encoders and conditions a model has.
    package enum Family: Sendable {
        case sd1
        case sd2
        case sdxl
    }

    /// The folder.
    package let path: String
    /// What kind of model it holds.
    package let family: Family
    /// Whether guidance leads away from zeros where no negative prompt is given.
    package let forceZerosForEmptyPrompt: Bool

    /// Reads model_index.json; the components are read by those who use them.
    ///
    /// Throws `InputError` for a folder that holds no Stable Diffusion model.
    package init(path: String) throws(InputError) {
        self.path = path
        let file = "\(path)/model_index.json"
        var index = try ConfigReader(file: file)
        let name = try index.string("_class_name", default: "")
        switch name {
        case "StableDiffusionXLPipeline": family = .sdxl
        case "StableDiffusionPipeline":
            var unet = try ConfigReader(file: "\(path)/unet/config.json")
            family = try unet.bool("use_linear_projection", default: false) ? .sd2 : .sd1
        default:
            throw index.fault(
                "_class_name",
                "is '\(name)'",
                fix: "Use a StableDiffusionPipeline or a StableDiffusionXLPipeline"
            )
        }
        forceZerosForEmptyPrompt = try index.bool(
            "force_zeros_for_empty_prompt",
            default: family == .sdxl
        )
    }

    /// The UNet's configuration.
    package var unetConfigPath: String { "\(path)/unet/config.json" }
    /// The autoencoder's configuration.
    package var vaeConfigPath: String { "\(path)/vae/config.json" }
    /// The scheduler's configuration.
    package var schedulerConfigPath: String { "\(path)/scheduler/scheduler_config.json" }

    /// BLAKE2b-256, in hexadecimal, over the configurations and weights that workers compute with:
    /// equal on two hosts only where their UNet and VAE are.
    package func digest() throws(InputError) -> String {
        let hash = Hash()
        for component in ["unet", "vae"] {
            try hash.add(file: "\(path)/\(component)/config.json")
            try hash.add(file: WeightReader.weightFile(folder: path, component: component))
        }
        return hash.finish()
    }
}

/// BLAKE2b-256 over files, a piece at a time.
private final class Hash {
    private static let bytes = 32
    private let memory = UnsafeMutableRawPointer.allocate(
        byteCount: crypto_generichash_statebytes(),
        alignment: 64
    )
    private var state: OpaquePointer { OpaquePointer(memory) }

    init() { crypto_generichash_init(state, nil, 0, Self.bytes) }

    deinit { memory.deallocate() }

    /// Adds the bytes of a file and then their number, so that none can move from one file to the
    /// next.
    func add(file: String) throws(InputError) {
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw InputError(file, "cannot be read", fix: "Check the path and its permissions")
        }
        defer { try? handle.close() }
        var total: UInt64 = 0
        while let part = try? handle.read(upToCount: 1 << 20), !part.isEmpty {
            total += UInt64(part.count)
            part.withUnsafeBytes(add)
        }
        withUnsafeBytes(of: total.littleEndian, add)
    }

    private func add(_ bytes: UnsafeRawBufferPointer) {
        let bytes = bytes.bindMemory(to: UInt8.self)
        crypto_generichash_update(state, bytes.baseAddress, UInt64(bytes.count))
    }

    func finish() -> String {
        var hash = [UInt8](repeating: 0, count: Self.bytes)
        crypto_generichash_final(state, &hash, Self.bytes)
        return hash.map { String(format: "%02x", $0) }.joined()
    }
}

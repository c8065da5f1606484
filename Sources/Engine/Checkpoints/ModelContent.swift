import Foundation

/// The files of a model that a worker needs, under names that reveal nothing about this host, and how to open them there.
package struct ModelContent: Equatable, Sendable {
    package struct File: Equatable, Sendable {
        /// Relative path: the part's role, then the file's name in its folder.
        package let name: String
        /// Path on this host.
        package let path: String
    }

    /// Names of the model's parts, each a file or a folder.
    package struct Parts: Equatable, Sendable {
        package var model = ""
        package var config: String?
        package var vae: String?
        package var base: String?
        /// The refiner's name with its start in the schedule, as in `--refiner`.
        package var refiner: String?
        /// Names of LoRA files with their weights, as in `--lora`.
        package var loras: [String] = []

        package init() {}

        /// The options to open the model with, from a folder that holds the files.
        ///
        /// - Throws: `InputError` for a refiner's start or a LoRA's weight that is not a number
        package func options(in folder: String) throws(InputError) -> ModelOptions {
            func there(_ name: String) -> String { "\(folder)/\(name)" }
            var options = ModelOptions()
            options.config = config.map(there)
            options.vae = vae.map(there)
            options.base = base.map(there)
            options.refiner = try refiner.map { argument throws(InputError) in
                try RefinerSource(argument: there(argument))
            }
            for lora in loras { options.loras.append(try LoRASource(argument: there(lora))) }
            return options
        }
    }

    package private(set) var files: [File] = []
    package private(set) var parts = Parts()

    /// Folders of a model in Diffusers' layout whose configurations are needed to open it.
    private static let folders = ["unet", "vae", "scheduler", "text_encoder", "text_encoder_2"]
    private static let configs = ["config.json", "scheduler_config.json"]

    /// Lists the files. The weights of text encoders in a folder are left out; a single file is included whole.
    ///
    /// - Throws: `InputError` if a file is missing
    package init(of model: Model) throws(InputError) {
        var needed = Set(try model.files(.unet) + model.files(.vae))
        if let refiner = model.refiner { needed.formUnion(try refiner.files(.unet)) }
        let options = model.options
        parts.model = add(model.path, as: "model", needed)
        parts.config = options.config.map { add($0, as: "config", needed) }
        parts.vae = options.vae.map { add($0, as: "vae", needed) }
        parts.base = options.base.map { add($0, as: "base", needed) }
        parts.refiner = options.refiner.map { source in
            "\(add(source.path, as: "refiner", needed)):\(source.start)"
        }
        parts.loras = options.loras.enumerated().map { number, source in
            let name = add(source.path, as: "lora-\(number + 1)", needed)
            return LoRASource(path: name, weight: source.weight, parts: source.parts).argument
        }
    }

    /// Adds a part of the model.
    ///
    /// - Returns: its name
    private mutating func add(_ path: String, as role: String, _ needed: Set<String>) -> String {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        guard exists, isFolder.boolValue else {
            let last = URL(fileURLWithPath: path).lastPathComponent
            let name = "\(role)/\(Self.harmless(last))"
            files.append(File(name: name, path: path))
            // The configuration of a single UNet or VAE in Diffusers' layout.
            add(file: "config.json", in: (path as NSString).deletingLastPathComponent, as: role)
            return name
        }
        add(file: "model_index.json", in: path, as: role)
        add(contentsOf: path, as: role, needed)
        for folder in Self.folders {
            add(contentsOf: "\(path)/\(folder)", as: "\(role)/\(folder)", needed)
        }
        return role
    }

    /// Adds a folder's configurations, and its weights if they are needed.
    private mutating func add(contentsOf folder: String, as role: String, _ needed: Set<String>) {
        for name in Self.configs { add(file: name, in: folder, as: role) }
        guard let weights = try? ComponentFiles(folder: folder),
            weights.weights.contains(where: needed.contains)
        else { return }
        for path in weights.weights + [weights.index].compactMap(\.self) {
            add(file: (path as NSString).lastPathComponent, in: folder, as: role)
        }
    }

    private mutating func add(file name: String, in folder: String, as role: String) {
        let path = folder.isEmpty ? name : "\(folder)/\(name)"
        guard FileManager.default.fileExists(atPath: path) else { return }
        files.append(File(name: "\(role)/\(name)", path: path))
    }

    /// A file's name without characters that are special in a shell or elsewhere.
    private static func harmless(_ name: String) -> String {
        let kept = name.unicodeScalars.map { scalar -> Character in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || "0123456789._-".contains(Character(scalar)))
                ? Character(scalar) : "_"
        }
        return "f" + String(kept.suffix(80))
    }
}

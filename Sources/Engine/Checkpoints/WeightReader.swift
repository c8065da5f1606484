import Foundation

/// The weights of one component of a model folder, read by name and shape.
package final class WeightReader {
    private let file: String
    private let tensors: SafeTensors
    private var unused: Set<String>

    /// The names under which a component's weights are published, in order of preference.
    static let fileNames = [
        "diffusion_pytorch_model.safetensors", "model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors",
    ]

    /// Buffers that some checkpoints carry beside their weights.
    private static let buffers = ["position_ids"]

    /// Maps the weights in `folder`/`component`.
    ///
    /// Throws `InputError` for a missing or broken file.
    package init(folder: String, component: String) throws(InputError) {
        file = try Self.weightFile(folder: folder, component: component)
        tensors = try SafeTensors(file: file)
        unused = Set(tensors.names)
    }

    /// Where the weights of a component are.
    static func weightFile(folder: String, component: String) throws(InputError) -> String {
        let place = "\(folder)/\(component)"
        for name in fileNames where FileManager.default.fileExists(atPath: "\(place)/\(name)") {
            return "\(place)/\(name)"
        }
        throw InputError(
            place,
            "has no weights: neither of \(fileNames.prefix(2).joined(separator: ", "))",
            fix: "Fetch the whole model in the safetensors format, in one file per component"
        )
    }

    /// A weight as float32, its axes as in the file.
    ///
    /// Throws `InputError` where it is missing or has another shape.
    package func tensor(_ name: String, _ shape: [Int]) throws(InputError) -> Tensor {
        guard let info = tensors.info(name) else {
            throw InputError(
                file,
                "lacks the weight '\(name)' \(shape) that config.json calls for",
                fix: "Use the weights and the config.json of one model"
            )
        }
        guard info.shape == shape else {
            throw InputError(
                file,
                "has '\(name)' as \(info.shape), config.json calls for \(shape)",
                fix: "Use the weights and the config.json of one model"
            )
        }
        unused.remove(name)
        return try tensors.tensor(name)
    }

    /// Whether there is a weight of this name.
    package func has(_ name: String) -> Bool { tensors.info(name) != nil }

    /// Refuses weights that were never read: the network would not be the one that was trained.
    package func finish() throws(InputError) {
        let rest = unused.filter { name in !Self.buffers.contains { name.hasSuffix($0) } }.sorted()
        guard !rest.isEmpty else { return }
        let some = rest.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
        throw InputError(
            file,
            "has \(rest.count) weights that config.json does not call for: \(some)",
            fix: "Use the weights and the config.json of one model"
        )
    }
}

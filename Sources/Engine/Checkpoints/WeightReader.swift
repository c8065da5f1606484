import Foundation

/// The weights of one component of a model folder; remembers which were read, so that a model with
/// weights that nobody knows is refused.
package final class WeightReader {
    private let file: SafeTensors
    private var seen: Set<String> = []

    /// Opens `diffusion_pytorch_model.safetensors` or `model.safetensors` in a component's folder.
    ///
    /// - Throws: `InputError` when there is neither, or the file is damaged
    package init(folder: String, component: String) throws(InputError) {
        let path = try WeightReader.file(folder: folder, component: component)
        file = try SafeTensors(file: path)
    }

    /// Where a component's weights are.
    static func file(folder: String, component: String) throws(InputError) -> String {
        let names = ["diffusion_pytorch_model.safetensors", "model.safetensors"]
        let paths = names.map { "\(folder)/\(component)/\($0)" }
        guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw InputError(
                "\(folder)/\(component)",
                "there is no \(names.joined(separator: " or "))",
                fix: "The folder must hold a model in Diffusers layout"
            )
        }
        return path
    }

    /// Whether a tensor is there.
    package func has(_ name: String) -> Bool { file.info(name) != nil }

    /// One tensor as float32, in the file's order of axes.
    ///
    /// - Throws: `InputError` when it is missing or of another shape
    package func tensor(_ name: String, _ shape: [Int]) throws(InputError) -> Tensor {
        guard let info = file.info(name) else {
            throw InputError(
                "\(file.path): \(name)",
                "this weight is missing",
                fix: "Check that config.json belongs to this file"
            )
        }
        guard info.shape == shape else {
            throw InputError(
                "\(file.path): \(name)",
                "it is \(info.shape), the model needs \(shape)",
                fix: "Check that config.json belongs to this file"
            )
        }
        seen.insert(name)
        return try file.tensor(name)
    }

    /// Refuses weights that were not read.
    ///
    /// - Throws: `InputError` naming the first few
    package func finish() throws(InputError) {
        // Position numbers 0…76 that old files store.
        let unused = file.names.filter { !seen.contains($0) && !$0.hasSuffix("position_ids") }
        guard !unused.isEmpty else { return }
        let few = unused.prefix(3).joined(separator: ", ")
        throw InputError(
            file.path,
            "\(unused.count) weights are unknown to the model: \(few)",
            fix: "Check that config.json belongs to this file"
        )
    }
}

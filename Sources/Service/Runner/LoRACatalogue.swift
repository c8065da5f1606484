import Engine
import Foundation

/// The LoRA files that clients may choose from, all in one folder.
package struct LoRACatalogue: Sendable {
    /// Path of the folder; nil if there is none.
    let folder: String?

    package init(folder: String?) { self.folder = folder }

    /// Names of the files, without extension. The folder is read each time, because files may be added while the
    /// service runs.
    package var names: [String] {
        guard let folder else { return [] }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.filter { $0.hasSuffix(Self.ending) && !$0.hasPrefix(".") }
            .map { String($0.dropLast(Self.ending.count)) }.sorted()
    }

    private static let ending = ".safetensors"

    /// Path of a LoRA file; text from a client never becomes part of a path.
    ///
    /// - Throws: `InputError` for an unknown name
    func file(of name: String) throws(InputError) -> String {
        let names = names
        guard let folder, names.contains(name) else {
            let shown = names.prefix(20).joined(separator: ", ")
            throw InputError(
                "loras",
                "there is no LoRA '\(name.prefix(100))'",
                fix: names.isEmpty
                    ? "Start the service with --lora-dir and a folder of them"
                    : "Choose from " + shown + (names.count > 20 ? " and others" : "")
            )
        }
        return "\(folder)/\(name)\(Self.ending)"
    }
}

/// All resources on the server that a job may refer to.
package struct JobResources: Sendable {
    package var models: ModelCatalogue
    package var loras: LoRACatalogue
    package var inputs: InputFolder
    /// Options of the default model, from the service's flags.
    package var standardOptions: ModelOptions

    package init(
        models: ModelCatalogue,
        loras: LoRACatalogue,
        inputs: InputFolder,
        standardOptions: ModelOptions = ModelOptions()
    ) {
        (self.models, self.loras, self.inputs) = (models, loras, inputs)
        self.standardOptions = standardOptions
    }
}

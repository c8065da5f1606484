import Engine
import Foundation

/// Finds the model, and the files that come with the program.
package enum ModelLocation {
    /// The given path, or the default: `$TESSERA_MODEL`, else `Models/vista` in the current folder or above the
    /// program.
    ///
    /// - Throws: `InputError` if no model is given and none is bundled
    package static func resolve(_ given: String?) throws(InputError) -> String {
        let environment = ProcessInfo.processInfo.environment["TESSERA_MODEL"]
        if let path = given ?? environment { return path }
        if let path = bundled("vista", holding: "model_index.json") { return path }
        throw InputError(
            "--model",
            "no model is given and the bundled one was not found beside the program",
            fix: "Name a model's folder or file with --model"
        )
    }

    /// Folder of CLIP's vocabulary, which single-file models lack; nil if it does not come with the program.
    package static var vocabulary: String? { bundled("clip", holding: "merges.txt") }

    /// The folder in `Models` with this name, if it contains `file`: in the current folder or above the program.
    private static func bundled(_ name: String, holding file: String) -> String? {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        var folder = program.deletingLastPathComponent()
        var places = [URL(fileURLWithPath: FileManager.default.currentDirectoryPath)]
        for _ in 0..<5 {
            places.append(folder)
            folder.deleteLastPathComponent()
        }
        return places.map { $0.appendingPathComponent("Models/\(name)").path }
            .first { FileManager.default.fileExists(atPath: "\($0)/\(file)") }
    }
}

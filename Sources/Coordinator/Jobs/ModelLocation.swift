import Engine
import Foundation

/// Finds the model's folder.
package enum ModelLocation {
    /// The folder given, or the bundled default: `$TESSERA_MODEL`, else `Models/vista` beside the
    /// current folder or above the program.
    ///
    /// - Throws: `InputError` when no folder is given and none is bundled
    package static func resolve(_ given: String?) throws(InputError) -> String {
        let environment = ProcessInfo.processInfo.environment["TESSERA_MODEL"]
        if let path = given ?? environment { return path }
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        var folder = program.deletingLastPathComponent()
        var places = [URL(fileURLWithPath: FileManager.default.currentDirectoryPath)]
        for _ in 0..<5 {
            places.append(folder)
            folder.deleteLastPathComponent()
        }
        for place in places {
            let path = place.appendingPathComponent("Models/vista").path
            if FileManager.default.fileExists(atPath: path + "/model_index.json") { return path }
        }
        throw InputError(
            "--model",
            "no model is given and the bundled one is not where the program is",
            fix: "Name the model's folder with --model"
        )
    }
}

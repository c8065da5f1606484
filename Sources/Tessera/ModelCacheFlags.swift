import ArgumentParser
import Engine
import Foundation
import Worker

/// Flags for the folder in which a worker keeps models that it fetches from its coordinator.
struct ModelCacheFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder for models that are fetched from the coordinator where this machine lacks them. (default: nothing is "
                + "fetched; for tessera join ~/.cache/tessera/models)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var modelCache: String?

    @Option(
        help: ArgumentHelp(
            "Maximum size of --model-cache in GB: the least recently used models are removed.",
            valueName: "n"
        )
    )
    var modelCacheSize = ModelCache.defaultLimit >> 30

    mutating func validate() throws {
        guard (1...1 << 20).contains(modelCacheSize) else {
            throw ValidationError("--model-cache-size must be from 1 to \(1 << 20).")
        }
    }

    /// The cache; nil if models are not fetched.
    func cache(fallback: String? = nil) -> ModelCache? {
        (modelCache ?? fallback).map { path in
            ModelCache(
                path: URL(fileURLWithPath: path).standardizedFileURL.path,
                limit: modelCacheSize << 30
            )
        }
    }
}

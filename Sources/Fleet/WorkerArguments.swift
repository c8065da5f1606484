import Engine
import Foundation

/// The command line of `tessera worker`, without the program: whoever starts a worker writes it here and nowhere else.
package struct WorkerArguments: Equatable, Sendable {
    /// Where the coordinator listens.
    package var endpoint: String
    /// Path of the model on the worker's host.
    package var model: String
    /// More flags about the model: LoRA files and configurations.
    package var modelFlags: [String] = []
    package var backend: BackendKind?
    package var precision: Precision?
    /// Paths of the worker's secret key and of the coordinator's public one.
    package var keys: (secret: String, coordinator: String)?
    /// Whether anybody may read and answer.
    package var insecure = false

    package init(endpoint: String, model: String) {
        (self.endpoint, self.model) = (endpoint, model)
    }

    package static func == (a: WorkerArguments, b: WorkerArguments) -> Bool { a.flags == b.flags }

    /// The flags that are the same for all workers of a host.
    package var flags: [String] {
        var flags = ["--connect", endpoint, "--model", model] + modelFlags
        if let backend { flags += ["--backend", backend.rawValue] }
        if let precision { flags += ["--precision", precision.rawValue] }
        if let keys {
            flags += ["--keys", keys.secret, "--coordinator-key", keys.coordinator]
        } else if insecure {
            flags.append("--insecure")
        }
        return flags
    }

    /// The whole command line of one worker.
    ///
    /// - Parameters:
    ///   - name: of the worker
    ///   - threads: that it computes with; nil shares this host's cores evenly
    ///   - workers: of this host
    ///   - flags: as of `flags`, which another host may have written
    ///   - endsWithCoordinator: whether it ends when standard input does
    /// - Returns: subcommand and flags
    package static func command(
        name: String,
        threads: Int?,
        of workers: Int,
        flags: [String],
        endsWithCoordinator: Bool
    ) -> [String] {
        ["worker", "--name", name, "--threads", "\(threads ?? threadsEach(of: workers))"]
            + flags.map {
                // The home is this host's: whoever asked does not know it.
                $0.hasPrefix("~/") ? ($0 as NSString).expandingTildeInPath : $0
            } + (endsWithCoordinator ? ["--end-with-coordinator"] : [])
    }

    /// This host's cores, shared out evenly.
    package static func threadsEach(of workers: Int) -> Int {
        max(1, ProcessInfo.processInfo.activeProcessorCount / max(1, workers))
    }
}

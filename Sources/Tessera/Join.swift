import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol
import Worker

/// `tessera join`: makes this machine a worker of a cluster that it was invited to.
struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Joins a cluster with an invitation (tessera cluster invite), and works for it until it is stopped.",
        discussion: """
            The machine makes a key of its own, in ~/.config/tessera/joined, and is put on the coordinator's list. The \
            invitation is not needed again: tessera join alone goes on after a restart.
            """
    )

    @OptionGroup var joining: JoiningFlags
    @OptionGroup var model: ModelFlags

    @Option(help: "Threads that share one evaluation. (default: all cores)")
    var threads: Int?

    @OptionGroup var unit: ServiceFlag
    @OptionGroup var cache: ModelCacheFlags
    @OptionGroup var sharing: ShareFlags
    @OptionGroup var engine: EngineFlags

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
    }

    func run() throws {
        try ExitStatus.reporting {
            // Report anything that would keep the worker from starting before the invitation is used up.
            try unit.check()
            let model = try workerArguments()
            let (membership, place) = try joining.join()
            let keys = membership.keys
            let arguments =
                ["worker", "--standing", "--connect", place.endpoint, "--name", place.name]
                + ["--keys", keys.secret, "--coordinator-key", keys.coordinator]
                + (place.proxy.map { ["--socks-proxy", $0] } ?? []) + model
            guard unit.service else { return try Spawn.become(arguments) }
            try unit.install("worker", for: place.endpoint, arguments, keeping: Self.variables)
        }
    }

    /// Environment variables that a worker needs in a systemd unit.
    private static let variables: Set<String> = [
        "LD_LIBRARY_PATH", "TESSERA_TORCH", "TESSERA_MODEL", "XDG_CACHE_HOME",
        "CUDA_VISIBLE_DEVICES",
    ]

    /// Flags for `tessera worker`.
    private func workerArguments() throws -> [String] {
        _ = try engine.onlyDevice()
        _ = try joining.proxy.proxy()
        let own = try ownModel()
        let kept = cache.cache(fallback: UserFolder.cache.named("models"))
        try kept?.make()
        let fetching =
            kept.map { ["--model-cache", $0.path, "--model-cache-size", "\($0.limit >> 30)"] } ?? []
        return own + fetching + (try model.arguments()) + engine.arguments
            + sharing.arguments
            + (threads.map { ["--threads", "\($0)"] } ?? [])
    }

    /// The flag for this machine's own model; empty if it has none and fetches the coordinator's.
    private func ownModel() throws -> [String] {
        let path: String
        do {
            path = try ModelLocation.resolve(model.model)
        } catch {
            guard model.model == nil else { throw error }
            return []
        }
        let weights = try Model(path: path, options: try model.options())
        try weights.check(ModelNeeds(encoder: nil, texts: false))
        // A service starts in another folder.
        return ["--model", URL(fileURLWithPath: path).standardizedFileURL.path]
    }
}

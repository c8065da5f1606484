import Engine
import Foundation

/// The command line of `tessera worker`, without the program: the only place where it is built.
package struct WorkerArguments: Equatable, Sendable {
    /// The coordinator's endpoint.
    package var endpoint: String
    /// Path of the model on the worker's host.
    package var model: String
    /// More flags about the model: LoRA files and configurations.
    package var modelFlags: [String] = []
    package var backend: BackendKind?
    package var precision: Precision?
    /// Where PyTorch is.
    package var torch: String?
    /// Views that are predicted together.
    package var batch: Int?
    /// Paths of the worker's secret key and of the coordinator's public one.
    package var keys: (secret: String, coordinator: String)?
    /// `HOST:PORT` of a SOCKS proxy on the way to the coordinator.
    package var socksProxy: String?
    /// Whether to run unencrypted, so that anybody may read and answer.
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
        if let torch { flags += ["--torch", torch] }
        if let batch { flags += ["--batch", "\(batch)"] }
        if let socksProxy { flags += ["--socks-proxy", socksProxy] }
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
    ///   - device: that it computes on; nil: the processor
    ///   - share: the port at which the first worker of this host sends the model to others
    ///   - flags: as returned by `flags`, perhaps on another host
    ///   - lifetime: when it ends
    /// - Returns: subcommand and flags
    package static func command(
        name: String,
        threads: Int?,
        of workers: Int,
        device: String? = nil,
        share: UInt16? = nil,
        flags: [String],
        lifetime: Lifetime
    ) -> [String] {
        ["worker", "--name", name, "--threads", "\(threads ?? threadsEach(of: workers))"]
            + (device.map { ["--device", $0] } ?? [])
            + flags.map {
                // The home folder is this host's: the requester does not know it.
                $0.hasPrefix("~/") ? UserFolder.expanded($0) : $0
            } + (number(of: name) == 1 ? share.map { ["--share", "\($0)"] } ?? [] : [])
            + [lifetime.rawValue]
    }

    /// The number at the end of a worker's name, counted from 1.
    private static func number(of name: String) -> Int {
        name.split(separator: "-").last.flatMap { Int($0) } ?? 1
    }

    /// The device of a worker by the number at the end of its name, counted from 1: they take turns.
    package static func device(of name: String, among devices: [String]) -> String? {
        guard !devices.isEmpty else { return nil }
        return devices[max(0, number(of: name) - 1) % devices.count]
    }

    /// When a worker that is started here ends; the raw values are flags.
    package enum Lifetime: String {
        /// With standard input, or with the coordinator.
        case exitsWithCoordinator = "--end-with-coordinator"
        /// When it is stopped: a coordinator that refuses it does not end it.
        case persistent = "--standing"
    }

    /// This host's cores, divided evenly.
    package static func threadsEach(of workers: Int) -> Int {
        max(1, ProcessInfo.processInfo.activeProcessorCount / max(1, workers))
    }
}

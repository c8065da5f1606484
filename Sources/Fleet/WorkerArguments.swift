import Engine
import Foundation

/// The command line of `tessera worker`, without the program. This is the only place where it is built.
package struct WorkerArguments: Equatable, Sendable {
    /// The coordinator's endpoint.
    package var endpoint: String
    /// Path of the model on the worker's host.
    package var model: String
    /// Further flags for the model: LoRA files and configurations.
    package var modelFlags: [String] = []
    package var backend: BackendKind?
    package var precision: Precision?
    /// Path of PyTorch's folder.
    package var torch: String?
    /// Batch size in views.
    package var batch: Int?
    /// Paths of the worker's secret key and of the coordinator's public one.
    package var keys: (secret: String, coordinator: String)?
    /// `HOST:PORT` of the SOCKS proxy to the coordinator.
    package var socksProxy: String?
    /// Whether to run unencrypted, so that anybody can read the traffic and answer.
    package var insecure = false

    package init(endpoint: String, model: String) {
        (self.endpoint, self.model) = (endpoint, model)
    }

    package static func == (a: WorkerArguments, b: WorkerArguments) -> Bool { a.flags == b.flags }

    /// The flags that all workers of a host share.
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
    ///   - name: name of the worker
    ///   - threads: its threads; nil divides this host's cores evenly
    ///   - workers: number of workers on this host
    ///   - device: the device to compute on; nil for the processor
    ///   - share: the port on which this host's first worker sends the model to others
    ///   - flags: flags as returned by `flags`, possibly on another host
    ///   - lifetime: when the worker ends
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
                // Expand the home folder here: the requester does not know this host's.
                $0.hasPrefix("~/") ? UserFolder.expanded($0) : $0
            } + (number(of: name) == 1 ? share.map { ["--share", "\($0)"] } ?? [] : [])
            + [lifetime.rawValue]
    }

    /// The number at the end of a worker's name, from 1.
    private static func number(of name: String) -> Int {
        name.split(separator: "-").last.flatMap { Int($0) } ?? 1
    }

    /// The device of a worker. Devices are assigned in turn by the number at the end of the name, from 1.
    package static func device(of name: String, among devices: [String]) -> String? {
        guard !devices.isEmpty else { return nil }
        return devices[max(0, number(of: name) - 1) % devices.count]
    }

    /// When a worker that is started here ends. The raw values are flags.
    package enum Lifetime: String {
        /// When standard input closes or the coordinator ends.
        case exitsWithCoordinator = "--end-with-coordinator"
        /// When it is stopped; refusal by a coordinator does not end it.
        case persistent = "--standing"
    }

    /// Threads per worker if this host's cores are divided evenly.
    package static func threadsEach(of workers: Int) -> Int {
        max(1, ProcessInfo.processInfo.activeProcessorCount / max(1, workers))
    }
}

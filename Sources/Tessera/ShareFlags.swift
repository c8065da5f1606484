import ArgumentParser
import Engine
import Logging
import Protocol
import Worker

/// Whether a worker sends its model to machines on its network.
struct ShareFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Listen at this port for machines on this network that lack the model, and send it to those that the coordinator "
                + "names; 0 lets the system choose one. (default: nothing is sent)",
            valueName: "port"
        )
    )
    var share: UInt16?

    /// The same flag for another command line.
    var arguments: [String] { share.map { ["--share", "\($0)"] } ?? [] }

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - security: the worker's keys
    ///   - logger: is told who fetches
    /// - Returns: nil where nothing is shared
    /// - Throws: `InputError` without keys, or where another process listens, `SocketError`
    func server(_ security: Security, _ logger: Logger) throws -> NeighbourServer? {
        guard let share else { return nil }
        guard security.isEncrypted else {
            throw InputError(
                "--share",
                "without keys nobody could tell who may have the model",
                fix: "Give this worker keys with --keys and --coordinator-key"
            )
        }
        return try NeighbourServer(port: share, logger: logger)
    }
}

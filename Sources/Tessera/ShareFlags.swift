import ArgumentParser
import Engine
import Logging
import Protocol
import Worker

/// Flag for sending a worker's model to other machines on its network.
struct ShareFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Listen at this port for machines on this network that lack the model, and send it to those that the coordinator "
                + "names; 0 lets the system choose one. (default: nothing is sent)",
            valueName: "port"
        )
    )
    var share: UInt16?

    /// The same flag, to pass on to another command.
    var arguments: [String] { share.map { ["--share", "\($0)"] } ?? [] }

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - security: the worker's keys
    ///   - logger: logs who fetches the model
    /// - Returns: nil if nothing is shared
    /// - Throws: `InputError` without keys or if another process uses the port, `SocketError`
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

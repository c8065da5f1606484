import ArgumentParser
import Engine
import Fleet
import Foundation

/// Whether a command installs a systemd unit that does its work, in place of doing it.
struct ServiceFlag: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Install a systemd unit that works for the cluster, instead of working now: root's is the whole system's, "
                + "another user's their own."
        )
    )
    var service = false

    /// - Throws: `InputError` where a unit is asked for and nothing would start it
    func check() throws(InputError) {
        guard service, !ServiceUnit.isPossible else { return }
        throw InputError(
            "--service",
            "systemd does not manage this machine",
            fix: "Leave --service out, and let the machine start this command"
        )
    }

    /// Writes the unit, and prints the commands that start it.
    ///
    /// - Parameters:
    ///   - role: what it is, "worker" or "relay"
    ///   - endpoint: the coordinator's, tcp://HOST:PORT
    ///   - arguments: of the program
    ///   - variables: names of those that the program needs wherever it is started
    /// - Throws: when it cannot be written
    func install(
        _ role: String,
        for endpoint: String,
        _ arguments: [String],
        keeping variables: Set<String>
    ) throws {
        let unit = ServiceUnit(
            role: role,
            cluster: String(endpoint.dropFirst("tcp://".count)),
            program: Spawn.thisProgram,
            arguments: arguments,
            environment: ProcessInfo.processInfo.environment
                .filter { variables.contains($0.key) }
                .merging([Spawn.withoutDefaults.name: Spawn.withoutDefaults.value]) { $1 },
            isForSystem: geteuid() == 0
        )
        let path = try unit.install(in: try unit.folder())
        StandardError.write("wrote \(path); start it with:")
        try StandardOutput.write(lines: unit.startCommands)
    }
}

import ArgumentParser
import Engine
import Fleet
import Foundation

/// Flag that installs a systemd unit that runs the command, instead of running it.
struct ServiceFlag: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Install a systemd unit that works for the cluster, instead of working now: root's is the whole system's, "
                + "another user's their own."
        )
    )
    var service = false

    /// - Throws: `InputError` if a unit is requested on a system without systemd
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
    ///   - role: what the unit runs, "worker" or "relay"
    ///   - endpoint: the coordinator's endpoint, tcp://HOST:PORT
    ///   - arguments: arguments of the program
    ///   - variables: names of the environment variables to keep
    /// - Throws: if the unit cannot be written
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

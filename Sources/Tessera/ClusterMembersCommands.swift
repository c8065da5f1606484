import ArgumentParser
import Engine
import Fleet
import Foundation
import Protocol

extension ClusterCommand {
    /// `tessera cluster invite`
    struct Invite: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints a line with which another machine joins the cluster.",
            discussion: """
                Run the line on that machine. Whoever has it may join until it ends, so pass it on as you would a \
                password. A coordinator that runs accepts it at once: render or serve with --cluster, or cluster up.
                """
        )

        @OptionGroup var file: HostsFlags

        @Option(help: "Number of machines that may join with it.")
        var uses = 1

        @Option(
            name: .customLong("for"),
            help: ArgumentHelp(
                "How long it is valid: 90s, 30m, 12h or 7d.",
                valueName: "time"
            )
        )
        var validity = TimeSpan.minutes(30)

        @Option(
            help: ArgumentHelp(
                "Address that the machine connects to. (default: the cluster file's)",
                valueName: "host[:port]"
            )
        )
        var address: String?

        mutating func validate() throws {
            guard (1...ClusterMembers.maxUses).contains(uses) else {
                throw ValidationError("--uses must be from 1 to \(ClusterMembers.maxUses).")
            }
        }

        func run() throws {
            try ExitStatus.reporting {
                let members = try file.members()
                let hadKeys = members.hasKeys
                let code = try members.invite(
                    uses: uses,
                    seconds: validity.seconds,
                    address: address
                )
                try StandardOutput.write("tessera join \(code.text)")
                if HostPort(code.host)?.isLoopback == true {
                    StandardError.write(
                        "\(code.host) is this machine for whoever reads it: only this machine can join, or one with a tunnel "
                            + "here; --address HOST names an address that others reach"
                    )
                }
                if members.isAnnounced {
                    StandardError.write(
                        "on this network segment --lan with the code finds the coordinator, too; its key is "
                            + code.coordinator.fingerprint
                    )
                }
                if !members.isListening {
                    StandardError.write(
                        members.hasHosts
                            ? "no coordinator runs now: the machine joins when one does, for example a render with "
                                + "--cluster \(file.cluster)"
                            : "nothing listens now: the machine joins when a render, tessera serve or tessera relay with --cluster "
                                + "\(file.cluster) does"
                    )
                } else if !hadKeys {
                    StandardError.write(
                        "the coordinator that runs now was started without keys: the machine can join when the next one runs"
                    )
                }
                if !hadKeys, members.hasStartedWorkers {
                    StandardError.write(
                        "the next coordinator admits only workers with keys, and those of tessera cluster up have none: run "
                            + "tessera cluster down and tessera cluster up with --cluster \(file.cluster) before it"
                    )
                }
            }
        }
    }

    /// `tessera cluster members`
    struct Members: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Lists the machines that joined by invitation, and invitations that are still valid."
        )

        @OptionGroup var file: HostsFlags

        @Flag(help: "Print one line of JSON.")
        var json = false

        func run() throws {
            try ExitStatus.reporting {
                let list = try file.members().list()
                if json {
                    try StandardOutput.write(json: list)
                } else {
                    try StandardOutput.write(lines: list.lines())
                }
            }
        }
    }

    /// `tessera cluster remove`
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a machine that joined off the list, and ends its connection at once.",
            discussion: "The invitation that it joined with ends, too."
        )

        @OptionGroup var file: HostsFlags

        @Argument(help: "The machine, as tessera cluster members lists it.")
        var name: String

        func run() throws {
            try ExitStatus.reporting {
                try StandardOutput.write(lines: try file.members().remove(name))
            }
        }
    }
}

extension HostsFlags {
    /// - Throws: `InputError` if the file is invalid
    func members() throws(InputError) -> ClusterMembers {
        try ClusterMembers(ClusterFile(file: cluster, needsHosts: false), path: cluster)
    }
}

/// A duration such as `90s`, `30m`, `12h` or `7d`.
struct TimeSpan: ExpressibleByArgument {
    let seconds: Double
    private let text: String

    private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    private static let longest = 366.0 * 86_400

    static func minutes(_ count: Int) -> TimeSpan {
        TimeSpan(seconds: Double(count) * 60, text: "\(count)m")
    }

    private init(seconds: Double, text: String) { (self.seconds, self.text) = (seconds, text) }

    init?(argument: String) {
        guard let last = argument.last, let unit = Self.units[last],
            let count = UInt32(argument.dropLast())
        else { return nil }
        let seconds = Double(count) * unit
        guard seconds >= 1, seconds <= Self.longest else { return nil }
        self.init(seconds: seconds, text: argument)
    }

    var defaultValueDescription: String { text }
}

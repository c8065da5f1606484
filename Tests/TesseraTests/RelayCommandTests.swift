import Foundation
import TestSupport
import Testing

/// `tessera relay` between a coordinator on one host and a machine on another that cannot reach each other. Needs root,
/// for network namespaces.
@Suite(.serialized, .enabled(if: TestNetwork.isPossible)) struct RelayCommandTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""

    /// The coordinator is on the first host, the relay in the middle, the machine on the second host.
    private final class Hosts {
        let folder: String
        let network: TestNetwork
        var file: String { "\(folder)/cluster.yaml" }
        var site: String { "\(folder)/site.yaml" }

        init(_ folder: String) throws {
            self.folder = folder
            network = try TestNetwork(hosts: 2)
            let coordinator = """
                coordinator: {endpoint: "tcp://*:7551", connect: "tcp://127.0.0.1:7551"}
                model: \(RelayCommandTests.model)
                hosts:
                  - {name: localhost, threads: 1}
                """
            try coordinator.write(toFile: file, atomically: true, encoding: .utf8)
            try Self.site("endpoint: \"tcp://*:7552\"")
                .write(toFile: site, atomically: true, encoding: .utf8)
        }

        /// Contents of a cluster file with this coordinator.
        static func site(_ coordinator: String) -> String {
            "coordinator: {\(coordinator)}\n"
        }

        func start(_ words: [String], on host: String, as user: String) throws -> Command.Running {
            try Command.Running(
                words,
                environment: [
                    "XDG_STATE_HOME": "\(folder)/\(user)/state",
                    "XDG_CONFIG_HOME": "\(folder)/\(user)/config",
                ],
                on: host
            )
        }

        func cluster(_ words: [String]) throws -> Command {
            try start(
                ["cluster"] + words + ["--cluster", file],
                on: network.hosts[0],
                as: "coordinator"
            ).finish()
        }

        func site(_ words: [String]) throws -> Command {
            try start(["cluster"] + words + ["--cluster", site], on: network.centre, as: "relay")
                .finish()
        }

        func invitation(_ command: Command) -> String {
            #expect(command.status == 0, "\(command.errors)")
            return command.output.split(whereSeparator: \.isWhitespace).last.map(String.init) ?? ""
        }

        /// Starts a coordinator, a relay that joins it, and a machine that joins the relay.
        func join() throws -> (
            service: Command.Running, relay: Command.Running, machine: Command.Running
        ) {
            // An idle service listens, and lets the relay join.
            let service = try start(
                ["serve", "--cluster", file, "--listen", "127.0.0.1:0"]
                    + ["--data", "\(folder)/service"],
                on: network.hosts[0],
                as: "coordinator"
            )
            #expect(service.waitFor("serving"), "\(service.errorsSoFar)")
            let first = invitation(try cluster(["invite", "--address", "10.77.0.2"]))
            let relay = try start(
                ["relay", first, "--cluster", site, "--name", "relay"],
                on: network.centre,
                as: "relay"
            )
            #expect(relay.waitFor("relaying between tcp://10.77.0.2:7551"), "\(relay.errorsSoFar)")
            let second = invitation(try site(["invite", "--address", "10.77.1.1"]))
            let machine = try start(
                ["join", second, "--model", RelayCommandTests.model, "--threads", "1"]
                    + ["--name", "box"],
                on: network.hosts[1],
                as: "machine"
            )
            #expect(machine.waitFor("joined endpoint"), "\(machine.errorsSoFar)")
            #expect(relay.waitFor("worker relay/box has joined through this relay"))
            return (service, relay, machine)
        }

        func startRender(_ more: [String], steps: Int = 6) throws -> Command.Running {
            let words = [
                "render", "--prompt", "a prompt", "--size", "200x136", "--steps", "\(steps)",
                "--seed", "5", "--output", "\(folder)/out.png", "--cluster", file,
            ]
            return try start(words + more, on: network.hosts[0], as: "coordinator")
        }

        func render(_ more: [String]) throws -> (Data, String) {
            let command = try startRender(more).finish()
            #expect(command.status == 0, "\(command.errors)")
            return (try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png")), command.errors)
        }
    }

    @Test func aMachineBehindARelayRendersWithTheOthers() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(folder)
            let (service, relay, machine) = try hosts.join()
            kill(service.process.processIdentifier, SIGINT)
            _ = service.finish()

            let (picture, errors) = try hosts.render(["--min-workers", "2"])
            #expect(errors.contains("relay/box: "), "\(errors)")
            let members = try hosts.cluster(["members"]).output
            #expect(members.contains("relay") && !members.contains("box"), "\(members)")
            #expect(try hosts.site(["members"]).output.contains("box"))
            // With the site's file, the same host reports the relay and who is connected.
            let isThere = eventually {
                let status = (try? hosts.site(["status"]).output) ?? ""
                return status.contains("tessera relay for 10.77.0.2:7551 (process ")
                    && status.split(separator: "\n").contains {
                        $0.hasPrefix("box") && $0.contains(" joined ")
                    }
            }
            #expect(isThere)
            let second = try hosts.start(
                ["relay", "--cluster", hosts.site],
                on: hosts.network.centre,
                as: "relay"
            ).finish()
            #expect(second.status == 69 && second.errors.contains("tessera relay for 10.77.0.2"))

            // A relay that ends in the middle of a render takes its site with it, which is reported, and comes back.
            let long = try hosts.startRender(["--min-workers", "2"], steps: 120)
            // The end of phase 1: phase 2 itself is first mentioned after some seconds, when a fast machine has finished it.
            #expect(long.waitFor("phase 1/2: "), "\(long.errorsSoFar)")
            kill(relay.process.processIdentifier, SIGINT)
            let ended = relay.finish()
            #expect(ended.status == 0 && ended.errors.contains(" to workers, and "))
            #expect(long.waitFor("worker relay/box has left"), "\(long.errorsSoFar)")
            let next = try hosts.start(
                ["relay", "--cluster", hosts.site],
                on: hosts.network.centre,
                as: "relay"
            )
            #expect(long.waitFor("worker relay/box is back"), "\(long.errorsSoFar)")
            #expect(long.finish().status == 0)

            // Once removed from the site's list, it is not admitted again.
            #expect(try hosts.site(["remove", "box"]).status == 0)
            #expect(machine.waitFor("was removed from the cluster"), "\(machine.errorsSoFar)")
            let (alone, without) = try hosts.render([])
            #expect(alone == picture && !without.contains("box"), "\(without)")
            _ = KeyedSite.end([machine, next])
        }
    }

    @Test func aRelayThatIsRemovedIsTold() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(folder)
            let (service, relay, machine) = try hosts.join()
            #expect(try hosts.cluster(["remove", "relay"]).status == 0)
            #expect(relay.waitFor("took this relay off its list"), "\(relay.errorsSoFar)")
            #expect(!machine.errorsSoFar.contains("removed"), "\(machine.errorsSoFar)")
            // It does not become a worker by mistake.
            let join = try hosts.start(["join"], on: hosts.network.centre, as: "relay").finish()
            #expect(join.status == 64 && join.errors.contains("as a relay"), "\(join.errors)")
            _ = KeyedSite.end([machine, relay])
            kill(service.process.processIdentifier, SIGINT)
            _ = service.finish()
        }
    }

    @Test func aMachineThatDiesIsMissedUntilItIsBack() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(folder)
            let (service, relay, machine) = try hosts.join()
            #expect(!relay.errorsSoFar.contains("is gone"), "\(relay.errorsSoFar)")
            kill(machine.process.processIdentifier, SIGKILL)
            #expect(relay.waitFor("worker relay/box is gone: its connection ended"))
            let next = try hosts.start(
                ["join", "--model", Self.model, "--threads", "1", "--name", "box"],
                on: hosts.network.hosts[1],
                as: "machine"
            )
            #expect(relay.waitFor("worker relay/box is back"), "\(relay.errorsSoFar)")
            _ = KeyedSite.end([next, relay, service])
        }
    }

    /// Mistakes are reported before the invitation is used.
    @Test(arguments: [
        ("connect: \"tcp://10.0.0.1:7552\"", "coordinator: endpoint: it is missing"),
        ("endpoint: \"tcp://127.0.0.1:7552\"", "has not joined"),
        ("endpoint: \"tcp://*:7552\", keys: gone, allow: gone", "gone"),
    ])
    func whatIsMissingIsTold(coordinator: String, problem: String) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/site.yaml"
            try Hosts.site(coordinator).write(toFile: file, atomically: true, encoding: .utf8)
            let command = try Command(
                ["relay", "--cluster", file],
                environment: ["XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder]
            )
            #expect(command.status == 64 && command.errors.contains(problem), "\(command.errors)")
        }
    }
}

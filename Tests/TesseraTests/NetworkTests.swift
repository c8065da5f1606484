import Coordinator
import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// A coordinator and workers on separate hosts, with keys and through faults: the picture stays the same to the byte.
/// Needs root, for network namespaces.
@Suite(.serialized, .enabled(if: TestNetwork.isPossible)) struct NetworkTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private static let picture = [
        "--model", Fixtures.networks.first?.checkpoint ?? "", "--prompt", "a prompt", "--size",
        "264x200", "--steps", "20", "--seed", "5",
    ]

    /// The picture of one undisturbed host.
    private static let whole = Result {
        try inTemporaryFolder { folder in
            let arguments = ["render", "--output", "\(folder)/out.png"] + picture
            return try KeyedSite.picture(Command.Running(arguments), folder)
        }
    }

    @Test func aBrokenLinkIsRestoredAndChangesNothing() throws {
        let whole = try Self.whole.get()
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 1)
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, Self.picture + keys, on: network.centre)
            let worker = try site.worker(
                model,
                key: "one",
                on: network.hosts[0],
                at: network.endpoint(from: 0)
            )
            #expect(site.coordinator.waitFor("phase 2"))
            #expect(worker.waitFor("joined"))
            try network.wire(0, isIn: false)
            // Long enough for each side to give up on the other.
            #expect(worker.waitFor("stopped responding"))
            try network.wire(0, isIn: true)
            #expect(try site.result() == whole)
            _ = KeyedSite.end([worker])
        }
    }

    @Test func deadAndHungWorkersChangeNothing() throws {
        let whole = try Self.whole.get()
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 3)
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, Self.picture + keys, on: network.centre)
            let workers = try network.hosts.enumerated().map { number, host in
                try site.worker(
                    model,
                    key: ["one", "two", "two"][number],
                    on: host,
                    at: network.endpoint(from: number)
                )
            }
            #expect(workers.allSatisfy { $0.waitFor("joined") })
            #expect(site.coordinator.waitFor("phase 2"))
            kill(workers[0].process.processIdentifier, SIGKILL)
            kill(workers[1].process.processIdentifier, SIGSTOP)
            #expect(try site.result() == whole)
            kill(workers[1].process.processIdentifier, SIGCONT)
            _ = KeyedSite.end(workers)
        }
    }

    @Test func aKilledCoordinatorIsResumedAndItsWorkersComeBack() throws {
        let whole = try Self.whole.get()
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 2)
            let flags = try Self.picture + KeyedSite.makeKeys(folder)
            let site = try KeyedSite(
                folder,
                flags + ["--job-dir", "\(folder)/job"],
                on: network.centre
            )
            let workers = try (0..<2).map { number in
                try site.worker(
                    model,
                    key: ["one", "two"][number],
                    on: network.hosts[number],
                    at: network.endpoint(from: number)
                )
            }
            #expect(site.coordinator.waitFor("phase 2"))
            let state = "\(folder)/job/state.safetensors"
            while !FileManager.default.fileExists(atPath: state) { usleep(2000) }
            kill(site.coordinator.process.processIdentifier, SIGKILL)
            _ = site.coordinator.finish()
            let resumed = try Command.Running(["resume", "\(folder)/job"], on: network.centre)
            #expect(resumed.waitFor("resuming after"), "\(resumed.errorsSoFar)")
            #expect(try KeyedSite.picture(resumed, folder) == whole)
            _ = KeyedSite.end(workers)
        }
    }

    @Test func wrongWorkersAreRefusedAndChangeNothing() throws {
        let whole = try Self.whole.get()
        let digest = try ModelIdentity(of: Model(path: model)).digest
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 4)
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, Self.picture + keys, on: network.centre)
            let other = try #require(Fixtures.networks.last?.checkpoint)
            let stranger = try site.worker(
                other,
                key: "one",
                on: network.hosts[0],
                at: network.endpoint(from: 0)
            ).finish()
            #expect(stranger.status == 64 && stranger.complaints.count == 1, "\(stranger.errors)")
            let told = stranger.complaints.first ?? ""
            #expect(told.contains(other) && told.contains(model), "\(told)")
            let bad = try ["nan", "hang"].enumerated().map { number, behaviour in
                try site.worker(
                    model,
                    key: "one",
                    on: network.hosts[number + 1],
                    at: network.endpoint(from: number + 1),
                    ["--digest", digest, "--behaviour", behaviour, "--name", behaviour],
                    program: "TestWorker"
                )
            }
            let good = try site.worker(
                model,
                key: "two",
                on: network.hosts[3],
                at: network.endpoint(from: 3)
            )
            #expect(site.coordinator.waitFor("its answer holds NaN or infinity"))
            #expect(try site.result() == whole)
            for worker in bad { kill(worker.process.processIdentifier, SIGKILL) }
            _ = bad.map { $0.finish() }
            _ = KeyedSite.end([good])
        }
    }

    @Test func strangersOnTheNetworkAreTurnedAway() throws {
        let whole = try Self.whole.get()
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 4)
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, Self.picture + keys, on: network.centre)
            let strangers = try ["stranger", nil].enumerated().map { number, key in
                try site.worker(
                    model,
                    key: key,
                    on: network.hosts[number],
                    at: network.endpoint(from: number),
                    // A worker without a key needs this flag to connect beyond its own machine.
                    key == nil ? ["--insecure"] : []
                )
            }
            #expect(strangers[0].waitFor("does not allow this worker's key"))
            #expect(strangers[1].waitFor("requires a key"))
            func noise() throws -> Spawned {
                try Spawned([
                    "ip", "netns", "exec", network.hosts[2], "python3",
                    "\(Fixtures.packageRoot)/Tests/noise.py", "10.77.2.1", "7551", "10",
                ])
            }
            #expect(try noise().wait())
            let right = try site.worker(
                model,
                key: "two",
                on: network.hosts[3],
                at: network.endpoint(from: 3)
            )
            #expect(right.waitFor("joined"))
            #expect(try noise().wait())
            #expect(try site.result() == whole)
            _ = KeyedSite.end(strangers + [right])
        }
    }

    /// 20 ms round trip, and every connection is broken every two seconds.
    @Test func aSlowAndBrokenLinkChangesNothing() throws {
        let whole = try Self.whole.get()
        try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: 2)
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, Self.picture + keys, on: network.centre)
            let relay = try Relay(
                on: network.centre,
                from: 7552,
                to: 7551,
                delay: 0.01,
                breakEvery: 2
            )
            defer { relay.end() }
            let workers = try (0..<2).map { number in
                try site.worker(
                    model,
                    key: ["one", "two"][number],
                    on: network.hosts[number],
                    at: network.endpoint(from: number, port: 7552)
                )
            }
            #expect(try site.result() == whole)
            _ = KeyedSite.end(workers)
        }
    }
}

/// A relay that delays data and breaks connections.
private final class Relay {
    private let process: Spawned

    init(on host: String, from: Int, to: Int, delay: Double, breakEvery: Double) throws {
        process = try Spawned([
            "ip", "netns", "exec", host, "python3", "\(Fixtures.packageRoot)/Tests/relay.py",
            "\(from)", "\(to)", "\(delay)", "\(breakEvery)",
        ])
    }

    func end() { process.end() }
}

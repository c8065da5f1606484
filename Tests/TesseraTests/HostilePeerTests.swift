import Coordinator
import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// Misbehaving worker processes beside an honest one: the picture is unchanged, and the render takes bounded time.
@Suite(.serialized) struct HostilePeerTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private var picture: [String] {
        [
            "--model", model, "--prompt", "a prompt", "--size", "200x136", "--steps", "12",
            "--seed", "5",
        ]
    }

    /// Renders with one honest worker, which joins last, and other workers.
    ///
    /// - Parameters:
    ///   - others: arguments of each other worker
    ///   - keys: name of each worker's key, in order; the honest one's is "two"
    /// - Returns: the picture, what the coordinator wrote and how long it took
    /// - Throws: if a process does not start
    private func render(
        beside others: [[String]],
        keys: [String] = ["one"]
    ) throws -> (picture: Data, log: String, time: Duration) {
        let digest = try ModelIdentity(of: Model(path: model)).digest
        return try inTemporaryFolder { folder in
            let site = try KeyedSite(folder, picture + KeyedSite.makeKeys(folder))
            let hostile = try others.enumerated().map { number, arguments in
                try site.worker(
                    model,
                    key: keys[number % keys.count],
                    ["--digest", digest, "--name", "hostile-\(number)"] + arguments,
                    program: "TestWorker"
                )
            }
            defer {
                for worker in hostile { kill(worker.process.processIdentifier, SIGKILL) }
                for worker in hostile { _ = worker.finish() }
            }
            #expect(hostile.allSatisfy { $0.waitFor("joined") })
            let clock = ContinuousClock()
            let start = clock.now
            let honest = try site.worker(model, key: "two")
            let picture = try site.result()
            let time = clock.now - start
            let log = site.coordinator.errorsSoFar
            _ = KeyedSite.end([honest])
            return (picture, log, time)
        }
    }

    private func hostile(_ manner: String) throws -> [String] {
        let side = try Model(path: model).unetConfig().sampleSize
        return ["--hostile", manner, "--shape", "1,\(side),\(side),4"]
    }

    @Test func hostilePeersChangeNothing() throws {
        let (whole, _, alone) = try render(beside: [])
        // Eight workers that never answer.
        let mute = try render(beside: Array(repeating: hostile("mute"), count: 8))
        #expect(mute.picture == whole)
        print("beside eight mute workers: \(mute.time), alone: \(alone)")
        // Until the first answer of a worker, two seconds are spent on retries.
        #expect(mute.time <= alone * 2 + .seconds(4))
        // One that answers units 1, 2, 3 … without being asked; one that crashes again and again; three connections
        // from one host that cannot compute anything.
        for (manner, count) in [("unasked", 1), ("crashing", 1), ("refusing", 3)] {
            let result = try render(beside: Array(repeating: hostile(manner), count: count))
            #expect(result.picture == whole, "\(manner)")
            #expect(result.time <= alone * 2 + .seconds(10), "\(manner): \(result.time)")
        }
        // Finite numbers that no model produces.
        for value in ["1e38", "-3e38", "1e-40"] {
            #expect(
                try render(beside: [["--behaviour", "fill:\(value)"]]).picture == whole,
                "\(value)"
            )
        }
    }

    @Test func aKeyTakenOffTheListEndsItsConnection() throws {
        try inTemporaryFolder { folder in
            let keys = try KeyedSite.makeKeys(folder)
            let site = try KeyedSite(
                folder,
                picture.map { $0 == "200x136" ? "264x200" : $0 == "12" ? "60" : $0 } + keys
            )
            let workers = try ["one", "two"].map { try site.worker(model, key: $0) }
            #expect(workers.allSatisfy { $0.waitFor("joined") })
            #expect(site.coordinator.waitFor("phase 2"))
            let two = try String(contentsOfFile: "\(folder)/two.pub", encoding: .utf8)
            try two.write(toFile: "\(folder)/list", atomically: true, encoding: .utf8)
            #expect(site.coordinator.waitFor("was taken off the list"))
            // Its connection is closed now, not at the next reconnection, and the worker learns why.
            #expect(workers[0].waitFor("does not allow this worker's key"))
            #expect(workers[0].process.isRunning && site.coordinator.process.isRunning)
            _ = try site.result()
            _ = KeyedSite.end(workers)
        }
    }
}

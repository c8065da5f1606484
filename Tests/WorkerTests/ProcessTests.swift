import Coordinator
import Engine
import FakeModel
import Fleet
import Foundation
import Protocol
import Testing

/// The tests' worker program, in the same folder as the program that runs the tests.
private let testWorker: String = {
    let program =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (program as NSString).deletingLastPathComponent + "/TestWorker"
}()

private func makeCluster(
    _ behaviours: [String],
    program: String = testWorker,
    silence: Duration = .seconds(10),
    patience: Duration = .seconds(120)
) throws -> LocalCluster {
    var policy = DispatcherState.Policy()
    policy.silence = silence
    return try LocalCluster(
        workers: behaviours.count,
        threads: nil,
        model: ModelIdentity(digest: FakeNetworks.digest, path: "/models/here"),
        program: program,
        policy: policy,
        patience: patience,
        logger: quiet
    ) { endpoint, name, threads in
        let number = Int(name.split(separator: "-").last ?? "") ?? 1
        return [
            "--connect", endpoint.address, "--name", name, "--threads", "\(threads)",
            "--local-child", "--behaviour", behaviours[number - 1],
        ]
    }
}

private func isRunning(_ process: Int32) -> Bool { kill(process, 0) == 0 }

/// The private directory of a cluster.
private func folder(_ cluster: LocalCluster) throws -> String {
    (try #require(cluster.cluster.endpoint.path) as NSString).deletingLastPathComponent
}

@Suite(.serialized) struct ProcessTests {
    @Test func killedWorkersLoseTheirViewsAndNothingIsLeftBehind() throws {
        let cluster = try makeCluster(["slow:5", "slow:5", "slow:5"])
        defer { cluster.stop() }
        let processes = cluster.processes
        let folder = try folder(cluster)
        #expect(eventually { cluster.cluster.statistics.count == 3 })
        let job = cluster.cluster.open(geometry)
        let views = makeViews(60)
        var done = 0
        let answers = try job.tensors(views) { _ in
            done += 1
            if done == 10 { kill(processes[0], SIGKILL) }
            if done == 30 { kill(processes[2], SIGKILL) }
        }
        #expect(answers.map(\.values) == (try expected(views)))
        #expect(cluster.cluster.statistics.filter(\.isActive).map(\.name) == ["local-2"])
        cluster.stop()
        #expect(!processes.contains(where: isRunning))
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test func aStoppedWorkerIsAbandonedAndKilledAtTheEnd() throws {
        let cluster = try makeCluster(["slow:5", "slow:5"], silence: .seconds(2))
        defer { cluster.stop() }
        let processes = cluster.processes
        #expect(eventually { cluster.cluster.statistics.count == 2 })
        kill(processes[0], SIGSTOP)
        let job = cluster.cluster.open(geometry)
        // The stopped worker's units are moved or copied as soon as the other worker is idle.
        let views = makeViews(10)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(
            eventually { cluster.cluster.statistics.filter(\.isActive).map(\.name) == ["local-2"] }
        )
        cluster.stop()
        #expect(!processes.contains(where: isRunning))
    }

    /// Otherwise a render would wait for it indefinitely.
    @Test func theLastWorkerIsKilledWhenItIsFrozen() throws {
        let cluster = try makeCluster(["slow:5"], silence: .seconds(2), patience: .seconds(6))
        defer { cluster.stop() }
        #expect(eventually { cluster.cluster.statistics.count == 1 })
        kill(cluster.processes[0], SIGSTOP)
        let job = cluster.cluster.open(geometry)
        let error = #expect(throws: ClusterUnavailable.self) { try job.tensors(makeViews(10)) }
        #expect(error?.reason.contains("was killed by signal 9") == true, "\(error?.reason ?? "")")
    }

    /// Eight of nine workers send heartbeats but never answer: the first tile, views, and another tile.
    @Test func silentWorkersDelayNothing() throws {
        let cluster = try makeCluster(Array(repeating: "hang", count: 8) + ["slow:5"])
        defer { cluster.stop() }
        #expect(eventually { cluster.cluster.statistics.count == 9 })
        let job = cluster.cluster.open(geometry)
        let tile = WorkUnit.tile(0, .decoder, Tensor([1, 2, 3, 4], shape: [1, 1, 1, 4]))
        let views = makeViews(30)
        let clock = ContinuousClock()
        let time = try clock.measure {
            for _ in 0..<3 {
                let picture = try job.tensors([tile])
                #expect(picture[0].values.prefix(3) == [1, 2, 3])
                #expect(try job.tensors(views).map(\.values) == expected(views))
            }
        }
        // At most two seconds until the honest worker is known; after that it does everything.
        print("90 views and 3 tiles beside eight mute workers: \(time)")
        #expect(time < .seconds(20))
    }

    @Test func whenTheLastWorkerDiesTheCallFailsAtOnceAndSaysWhy() throws {
        let cluster = try makeCluster(["die:2", "die:2"])
        defer { cluster.stop() }
        let job = cluster.cluster.open(geometry)
        let error = #expect(throws: ClusterUnavailable.self) {
            try job.tensors(makeViews(60))
        }
        #expect(error?.reason.contains("was killed by signal 9") == true, "\(error?.reason ?? "")")
    }

    @Test func lastWordsOfAWorkerThatCannotStartAreShown() throws {
        let cluster = try LocalCluster(
            workers: 2,
            threads: 1,
            model: ModelIdentity(digest: String(repeating: "0", count: 64), path: "/models/here"),
            program: testWorker,
            logger: quiet
        ) { endpoint, name, _ in ["--connect", endpoint.address, "--name", name, "--local-child"] }
        defer { cluster.stop() }
        let job = cluster.cluster.open(geometry)
        let error = #expect(throws: ClusterUnavailable.self) {
            try job.tensors(makeViews(1))
        }
        let reason = error?.reason ?? ""
        #expect(reason.contains("ended with status 64"), "\(reason)")
        #expect(reason.contains("has the model /models/fake (abababababab)"), "\(reason)")
    }

    @Test func aProgramThatIsNotThereIsAnInputError() {
        #expect(throws: InputError.self) { try makeCluster(["good"], program: "/no/such/program") }
    }

    @Test func cancelAndStopEndWorkersInTheMiddleOfAUnit() throws {
        let cluster = try makeCluster(["hang", "hang"])
        defer { cluster.stop() }
        let processes = cluster.processes
        #expect(eventually { cluster.cluster.statistics.count == 2 })
        let job = cluster.cluster.open(geometry)
        let canceller = NamedThread("canceller") {
            Thread.sleep(forTimeInterval: 0.2)
            job.cancel()
        }
        #expect(throws: RenderCancelled.self) { try job.tensors(makeViews(4)) }
        canceller.join()
        let clock = ContinuousClock()
        #expect(clock.measure { cluster.stop() } < .seconds(5))
        #expect(!processes.contains(where: isRunning))
    }

    /// The lifeline: a pipe that the kernel closes when a coordinator is killed.
    @Test func workersEndWhenStandardInputEnds() throws {
        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let folder = (try #require(directory.endpoint.path) as NSString).deletingLastPathComponent
        let worker = Process()
        worker.executableURL = URL(fileURLWithPath: testWorker)
        worker.arguments = ["--connect", directory.endpoint.address, "--local-child"]
        let lifeline = Pipe()
        worker.standardInput = lifeline
        worker.standardError = FileHandle.nullDevice
        try worker.run()
        #expect(!eventually({ !worker.isRunning }, within: 0.3))
        try lifeline.fileHandleForWriting.close()
        #expect(eventually { !worker.isRunning })
        worker.waitUntilExit()
        #expect(worker.terminationStatus == 0)
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    /// Killed while idle, and in the middle of units that never end.
    @Test(arguments: ["good", "hang"])
    func workersOfAKilledCoordinatorEndToo(behaviour: String) throws {
        let coordinator = Process()
        coordinator.executableURL = URL(fileURLWithPath: testWorker)
        coordinator.arguments = ["--coordinate", "2", "--behaviour", behaviour]
        let output = Pipe()
        coordinator.standardOutput = output
        try coordinator.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        let processes = words.dropFirst().compactMap { Int32($0) }
        try #require(processes.count == 2)
        let folder = (words[0] as NSString).deletingLastPathComponent
        Thread.sleep(forTimeInterval: 0.5)
        #expect(processes.allSatisfy(isRunning) && FileManager.default.fileExists(atPath: folder))
        kill(coordinator.processIdentifier, SIGKILL)
        coordinator.waitUntilExit()
        #expect(eventually { !processes.contains(where: isRunning) })
        #expect(eventually { !FileManager.default.fileExists(atPath: folder) })
    }
}

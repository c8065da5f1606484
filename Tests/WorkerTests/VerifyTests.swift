import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing
import Worker

/// Wrong answers are found, and the picture is repaired.
@Suite(.serialized) struct VerifyTests {
    private static let model = LyingRenders.model

    private func rendering(
        _ picture: String,
        _ verify: VerifyShare,
        book: SiteBook? = nil
    ) -> Rendering {
        LyingRenders().rendering(picture, verify, book: book)
    }

    /// The picture without any liar.
    private static let honest = Result { try LyingRenders().honest() }

    /// Renders with liars and compares the picture.
    @discardableResult
    private func check(
        _ manners: [LyingHosts.Manner],
        liars: Set<String>,
        book: SiteBook? = nil
    ) throws -> RenderOutcome {
        try LyingRenders().check(manners, liars: liars, honest: Self.honest.get(), book: book)
    }

    @Test func honestHostsAreAllChecked() throws {
        let outcome = try check([("a", .never), ("b", .never)], liars: [])
        #expect(outcome.checks.checked >= outcome.plan.views)
        #expect(outcome.checks.returns == 0)
        // Checks are not counted among the calls that the picture needs.
        #expect(outcome.unetCalls == outcome.plan.evaluations)
    }

    @Test func everyTenthAnswerIsWrong() throws {
        try check([("a", .never), ("b", .every(10)), ("c", .never)], liars: ["b"])
    }

    /// The liar is honest for most of the render.
    @Test func wrongAtTheLastSteps() throws {
        let outcome = try check([("a", .never), ("b", .below(timestep: 300))], liars: ["b"])
        #expect(outcome.checks.returns > 0)
    }

    /// They confirm each other; the coordinator finds out.
    @Test func twoLiarsAgree() throws {
        try check([("a", .always), ("b", .always), ("c", .never)], liars: ["a", "b"])
    }

    /// Its only witness is the coordinator; nobody else is left to render, and nobody can join.
    @Test func aSingleLiarEndsTheRenderAtOnce() throws {
        try inTemporaryFolder { folder in
            let hosts = try LyingHosts(Self.model, [("a", .always)])
            defer { hosts.stop() }
            hosts.cluster.expectNoMoreWorkers()
            let warnings = HeardLines()
            let start = ContinuousClock.now
            let error = try #require(throws: ClusterUnavailable.self) {
                try LyingRenders().rendering("\(folder)/out.png", .all, logger: warnings.logger())
                    .run(on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) })
            }
            // Shorter than any wait for other hosts.
            #expect(ContinuousClock.now - start < .seconds(25))
            #expect(
                error.reason.hasPrefix("no worker is left whose answers are right: worker a on")
            )
            let said = warnings.all.filter { $0.hasPrefix("worker a on") }
            #expect(
                said.count == 1 && said[0].contains("No other host can join"),
                "\(warnings.text)"
            )
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.png"))
        }
    }

    /// The lie is reported at once, not after the wait, and a host that joins meanwhile continues the render.
    @Test func anotherHostGoesOnAfterASingleLiar() throws {
        try inTemporaryFolder { folder in
            let hosts = try LyingHosts(Self.model, [("a", .always)])
            defer { hosts.stop() }
            let warnings = HeardLines()
            let rendering = LyingRenders()
                .rendering("\(folder)/out.png", .all, logger: warnings.logger())
            let outcome = BlockingQueue<Result<RenderOutcome, any Error>>()
            let thread = NamedThread("render", stack: 64 << 20) { [cluster = hosts.cluster] in
                outcome.put(
                    Result {
                        try rendering.run(on: { _, _, _, _ in Rendering.Workers(cluster: cluster) })
                    }
                )
            }
            let isSaid = eventually({ warnings.count("worker a on") == 1 }, within: 25)
            #expect(isSaid, "\(warnings.text)")
            let line = warnings.all.first { $0.hasPrefix("worker a on") } ?? ""
            #expect(line.contains("No other host is connected: the render waits 60 s for one"))
            #expect(line.contains("tessera worker --connect \(hosts.cluster.endpoint.address)"))
            try hosts.add(("b", .never))
            let picture = try outcome.take().get().picture
            thread.join()
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: picture)) == Self.honest.get()
            )
        }
    }

    /// Another render on the same cluster may use a host that one has set aside.
    @Test func aHostIsSetAsideForOneRender() throws {
        try inTemporaryFolder { folder in
            let hosts = try LyingHosts(Self.model, [("a", .never), ("b", .every(10))])
            defer { hosts.stop() }
            // A busy machine may give a host nothing to do during one render.
            let found = try (1...10).contains { _ in
                try LyingRenders().render(on: hosts, .all).found == ["b"]
            }
            #expect(found)
            let before = hosts.liars["b"]?.evaluationCount ?? 0
            let isUsed = try (1...10).contains { _ in
                _ = try LyingRenders().render(on: hosts, .off)
                return hosts.liars["b"]?.evaluationCount ?? 0 > before
            }
            #expect(isUsed)
        }
    }

    @Test func recordsAreKeptAcrossRenders() throws {
        try inTemporaryFolder { folder in
            let book = SiteBook(path: "\(folder)/state/sites.json")
            #expect(book.records().isEmpty)
            try check([("a", .never), ("b", .every(10))], liars: ["b"], book: book)
            let records = book.records()
            let good = try #require(records[HostID("a at 127.0.0.1")])
            let wrong = try #require(records[HostID("b at 127.0.0.1")])
            #expect(good.checked > 0 && good.wrong == 0 && good.lastWrong == nil)
            #expect(wrong.wrong > 0 && wrong.lastWrong != nil)
            var status = stat()
            #expect(stat("\(folder)/state/sites.json", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
    }

    /// The saved state does not depend on answers that were not checked.
    @Test func aRenderIsResumedWhileChecksAreOutstanding() throws {
        try inTemporaryFolder { folder in
            let hosts = try LyingHosts(
                Self.model,
                [("a", .never), ("b", .below(timestep: 500)), ("c", .never)]
            )
            defer { hosts.stop() }
            let control = RenderControl()
            var first = rendering("\(folder)/out.png", .all)
            first.saving = Saving(
                every: 1,
                folder: "\(folder)/job",
                command: "render",
                arguments: [],
                directory: folder
            )
            var steps = 0
            #expect(throws: RenderCancelled.self) {
                try first.run(
                    on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) },
                    control: control
                ) { report in
                    if case .progress(.step) = report { steps += 1 }
                    if steps == 4 { control.cancel() }
                }
            }
            let job = try JobFolder(taking: "\(folder)/job")
            let record = try job.record()
            var second = first
            second.resumed = (job, record)
            let outcome = try second.run(
                on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) }
            )
            let picture = try Data(contentsOf: URL(fileURLWithPath: outcome.picture))
            #expect(try picture == Self.honest.get())
        }
    }

    /// Workers of this host, over a socket in the file system, have no independent witness.
    @Test func workersOfThisHostAreNotCheckedByDefault() throws {
        try inTemporaryFolder { folder in
            let directory = try PrivateDirectory()
            defer { directory.remove() }
            let model = try Model(path: Self.model)
            let identity = try ModelIdentity(of: model)
            let cluster = try Cluster(
                Cluster.Configuration(endpoint: directory.endpoint, model: identity),
                logger: quiet
            )
            defer { cluster.stop() }
            let networks = LoadedNetworks(model, identity: identity, options: EngineOptions())
            let workers = try ["local-1", "local-2"].map { name in
                var options = WorkerProcess.Options(endpoint: cluster.endpoint, name: name)
                options.ownsProcess = false
                return try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
            }
            let threads = workers.map { worker in NamedThread("worker") { try? worker.run() } }
            defer {
                for worker in workers { worker.stop() }
                for thread in threads { thread.join() }
            }
            let outcome = try rendering("\(folder)/out.png", .share(0.5)).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: cluster) }
            )
            #expect(outcome.checks.checked == 0)
            let all = try rendering("\(folder)/all.png", .all).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: cluster) }
            )
            #expect(all.checks.checked >= all.plan.views && all.checks.wrong.isEmpty)
        }
    }
}

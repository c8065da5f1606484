import Coordinator
import Engine
import FakeModel
import Foundation
import Logging
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing
import Worker

/// Workers of the tiny model that call themselves different hosts, in threads of this process.
private final class Hosts {
    let cluster: Cluster
    private(set) var liars: [String: LyingNetworks] = [:]
    private var running: [(worker: WorkerProcess, thread: NamedThread)] = []

    init(_ path: String, _ manners: [(name: String, LyingNetworks.Manner)]) throws {
        let model = try Model(path: path)
        let identity = try ModelIdentity(of: model)
        cluster = try Cluster(
            Cluster.Configuration(endpoint: try Endpoint("tcp://127.0.0.1:0"), model: identity),
            logger: quiet
        )
        for (name, manner) in manners {
            let networks = LyingNetworks(
                LoadedNetworks(model, identity: identity, options: EngineOptions()),
                manner
            )
            liars[name] = networks
            var options = WorkerProcess.Options(endpoint: cluster.endpoint, name: name)
            options.ownsProcess = false
            let worker = try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
            running.append((worker, NamedThread("worker") { try? worker.run() }))
        }
        #expect(eventually { self.cluster.statistics.count(where: \.isActive) == manners.count })
    }

    func stop() {
        for (worker, _) in running { worker.stop() }
        for (_, thread) in running { thread.join() }
        cluster.stop()
    }
}

/// Lines that a person would see.
private final class Warnings: Sendable {
    let lines = Mutex<[String]>([])

    var logger: Logger {
        Logger(label: "test") { _ in Handler(warnings: self) }
    }

    private struct Handler: LogHandler {
        let warnings: Warnings
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.warning
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { warnings.lines.withLock { $0.append("\(event.message)") } }
    }
}

/// Pictures with wrong answers, found and repaired.
@Suite(.serialized) struct VerifyTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""

    private func rendering(
        _ picture: String,
        _ verify: VerifyShare,
        book: SiteBook? = nil,
        logger: Logger = quiet
    ) -> Rendering {
        var settings = SettingChoices()
        settings.set(Settings.size, to: Extent(height: 128, width: 192))
        settings.set(Settings.steps, to: 4)
        settings.set(Settings.seed, to: 5)
        settings.set(Settings.globalPass, to: .workers)
        var rendering = Rendering(
            options: PictureOptions(prompt: "a cat", model: Self.model, settings: settings),
            outputs: .init(picture: picture),
            computation: .init(conditioning: EngineOptions(), globalPass: EngineOptions()),
            logger: logger
        )
        (rendering.verify, rendering.siteBook) = (verify, book)
        return rendering
    }

    /// The picture without a liar.
    private static let honest: Result<Data, any Error> = Result {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(model, [("good", .never)])
            defer { hosts.stop() }
            let outcome = try VerifyTests().rendering("\(folder)/good.png", .off).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) }
            )
            #expect(outcome.checks == CheckSummary())
            return try Data(contentsOf: URL(fileURLWithPath: outcome.picture))
        }
    }

    /// Renders with liars and compares the picture.
    @discardableResult
    private func check(
        _ manners: [(String, LyingNetworks.Manner)],
        liars: Set<String>,
        book: SiteBook? = nil
    ) throws -> RenderOutcome {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(Self.model, manners)
            defer { hosts.stop() }
            let warnings = Warnings()
            let outcome = try rendering(
                "\(folder)/out.png",
                .all,
                book: book,
                logger: warnings.logger
            ).run(on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) })
            let found = Set(outcome.checks.wrong.flatMap(\.workers))
            #expect(found == liars)
            for liar in liars {
                #expect(
                    warnings.lines.withLock { lines in
                        lines.contains { $0.hasPrefix("worker \(liar) on") }
                    }
                )
                #expect(
                    outcome.workers.contains { $0.name == liar && !$0.isActive },
                    "\(liar) still works"
                )
            }
            let picture = try Data(contentsOf: URL(fileURLWithPath: outcome.picture))
            #expect(try picture == Self.honest.get())
            return outcome
        }
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

    /// Good for most of the render.
    @Test func wrongAtTheLastSteps() throws {
        let outcome = try check([("a", .never), ("b", .below(timestep: 300))], liars: ["b"])
        #expect(outcome.checks.returns > 0)
    }

    /// The coordinator finds out.
    @Test func twoLiarsAgree() throws {
        try check([("a", .always), ("b", .always), ("c", .never)], liars: ["a", "b"])
    }

    /// Its only witness is the coordinator; nobody else is left to render.
    @Test func aSingleLiarEndsTheRender() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(Self.model, [("a", .always)])
            defer { hosts.stop() }
            hosts.cluster.expectNoMoreWorkers()
            #expect(throws: ClusterUnavailable.self) {
                try rendering("\(folder)/out.png", .all).run(
                    on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) }
                )
            }
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.png"))
        }
    }

    /// Another render on the same cluster may use a host that one has set aside.
    @Test func aHostIsSetAsideForOneRender() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(Self.model, [("a", .never), ("b", .every(10))])
            defer { hosts.stop() }
            let outcome = try rendering("\(folder)/out.png", .all).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) }
            )
            #expect(outcome.checks.wrong.count == 1)
            let before = hosts.liars["b"]?.evaluationCount ?? 0
            _ = try rendering("\(folder)/next.png", .off).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) }
            )
            #expect(hosts.liars["b"]?.evaluationCount ?? 0 > before)
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

    /// The saved state depends on no answer that was not checked.
    @Test func aRenderIsResumedWhileChecksAreOutstanding() throws {
        try inTemporaryFolder { folder in
            let hosts = try Hosts(
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

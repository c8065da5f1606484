import Coordinator
import Engine
import Foundation
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing
import Worker

/// A worker with a real model in a thread of this process, and the cluster that it serves.
private final class RealCluster {
    let cluster: Cluster
    private let directory: PrivateDirectory
    private let worker: WorkerProcess
    private let thread: NamedThread

    init(_ path: String) throws {
        let model = try Model(path: path)
        let identity = try ModelIdentity(of: model)
        directory = try PrivateDirectory()
        cluster = try Cluster(
            Cluster.Configuration(endpoint: directory.endpoint, model: identity),
            logger: quiet
        )
        var options = WorkerProcess.Options(endpoint: cluster.endpoint, name: "real")
        options.ownsProcess = false
        let networks = LoadedNetworks(model, identity: identity, options: EngineOptions())
        let worker = try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
        self.worker = worker
        thread = NamedThread("worker") { try? worker.run() }
    }

    func stop() {
        worker.stop()
        thread.join()
        cluster.stop()
        directory.remove()
    }
}

/// How a render on its own thread ended.
private final class Ending: Sendable {
    let result = Mutex<Result<RenderOutcome, any Error>?>(nil)

    var outcome: RenderOutcome? { try? result.withLock { $0 }?.get() }
    var error: (any Error)? {
        if case .failure(let error) = result.withLock({ $0 }) { error } else { nil }
    }
}

/// Renders that a caller other than the command line starts.
@Suite(.serialized) struct RenderingTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""

    private func rendering(_ picture: String, seed: UInt64) -> Rendering {
        var settings = SettingChoices()
        settings.set(Settings.size, to: Extent(height: 128, width: 192))
        settings.set(Settings.steps, to: 4)
        settings.set(Settings.seed, to: seed)
        return Rendering(
            options: PictureOptions(prompt: "a cat", model: Self.model, settings: settings),
            outputs: .init(picture: picture),
            computation: .init(conditioning: EngineOptions(), globalPass: EngineOptions()),
            logger: quiet
        )
    }

    @Test func twoRendersShareACluster() throws {
        try inTemporaryFolder { folder in
            let real = try RealCluster(Self.model)
            defer { real.stop() }
            let cluster = real.cluster
            let alone = try rendering("\(folder)/alone.png", seed: 1).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: cluster) }
            )
            #expect(alone.unetCalls == alone.plan.evaluations)

            let (kept, cancelled) = (Ending(), Ending())
            let control = RenderControl()
            let (first, second) = (
                rendering("\(folder)/kept.png", seed: 1),
                rendering("\(folder)/cancelled.png", seed: 2)
            )
            let threads = [
                NamedThread("kept", stack: 64 << 20) {
                    let result = Result {
                        try first.run(on: { _, _, _, _ in Rendering.Workers(cluster: cluster) })
                    }
                    kept.result.withLock { $0 = result }
                },
                NamedThread("cancelled", stack: 64 << 20) {
                    let result = Result {
                        try second.run(
                            on: { _, _, _, _ in Rendering.Workers(cluster: cluster) },
                            control: control
                        ) { report in
                            // In the second phase, whose views are computed by the workers.
                            if case .progress(.phase(1, _)) = report { control.cancel() }
                        }
                    }
                    cancelled.result.withLock { $0 = result }
                },
            ]
            for thread in threads { thread.join() }
            #expect(cancelled.error is RenderCancelled)
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/cancelled.png"))
            #expect(kept.outcome?.picture == "\(folder)/kept.png")
            let pictures = ["alone", "kept"].map {
                FileManager.default.contents(atPath: "\(folder)/\($0).png")
            }
            #expect(pictures[0] != nil && pictures[0] == pictures[1])
            // The cluster remains available for the next render.
            _ = try rendering("\(folder)/next.png", seed: 3).run(
                on: { _, _, _, _ in Rendering.Workers(cluster: cluster) }
            )
        }
    }

    @Test func aRenderCancelledBeforeItStartsEndsAtOnce() throws {
        try inTemporaryFolder { folder in
            let real = try RealCluster(Self.model)
            defer { real.stop() }
            let control = RenderControl()
            control.cancel()
            #expect(throws: RenderCancelled.self) {
                try rendering("\(folder)/out.png", seed: 1).run(
                    on: { _, _, _, _ in Rendering.Workers(cluster: real.cluster) },
                    control: control
                )
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    /// An error that an observer throws ends the render, and its workers with it.
    @Test func anObserverEndsTheRender() throws {
        try inTemporaryFolder { folder in
            let real = try RealCluster(Self.model)
            defer { real.stop() }
            var isStopped = false
            var seen: [String] = []
            #expect(throws: OutputError.self) {
                try rendering("\(folder)/out.png", seed: 1).run(
                    on: { _, _, _, _ in
                        Rendering.Workers(cluster: real.cluster) { isStopped = true }
                    }
                ) { report in
                    switch report {
                    case .ready: seen.append("ready")
                    case .begun: seen.append("begun")
                    case .progress: throw OutputError("observer", "it has seen enough")
                    default: break
                    }
                }
            }
            #expect(isStopped && seen == ["ready", "begun"])
        }
    }
}

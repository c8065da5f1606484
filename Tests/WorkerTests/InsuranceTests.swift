import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing

/// Renders in which a host stalls on the last view of a step, over real sockets.
@Suite(.serialized) struct InsuranceTests {
    /// Records which host began which view, and when.
    private final class Stage: Sendable {
        struct Beginning {
            let host: String
            let timestep: Float
            /// Hash of the view's latent.
            let view: Int
            let time = ContinuousClock.now
            var isStalled = false
        }

        /// Time per view.
        let pace: Duration
        private let last: (timestep: Float, count: Int)?
        private let beginnings = Mutex<[Beginning]>([])

        /// - Parameters:
        ///   - pace: time per view
        ///   - last: a timestep and its number of views, of which the last one to begin stalls; nil: none does
        init(pace: Duration, last: (timestep: Float, count: Int)? = nil) {
            (self.pace, self.last) = (pace, last)
        }

        var all: [Beginning] { beginnings.withLock { $0 } }

        /// - Returns: whether the host stalls
        func begin(_ input: DenoiserInput, by host: String) -> Bool {
            beginnings.withLock { all in
                var beginning = Beginning(
                    host: host,
                    timestep: input.timestep,
                    view: input.latents.values.hashValue
                )
                let number = all.count { $0.timestep == input.timestep } + 1
                if let last, (input.timestep, number) == last { beginning.isStalled = true }
                all.append(beginning)
                return beginning.isStalled
            }
        }
    }

    /// A model whose views take a while, or never end.
    private final class PacedNetworks: ModelNetworks {
        private let networks: LoadedNetworks
        private let host: String
        private let stage: Stage

        init(_ networks: LoadedNetworks, _ host: String, _ stage: Stage) {
            (self.networks, self.host, self.stage) = (networks, host, stage)
        }

        var identity: ModelIdentity { networks.identity }
        var backend: String { networks.backend }
        var precision: String { networks.precision }
        var threads: Int { networks.threads }

        func evaluation(
            of input: DenoiserInput,
            cancellation: Cancellation
        ) throws -> any DenoiserEvaluation {
            let own = try networks.evaluation(of: input, cancellation: cancellation)
            let stalls = stage.begin(input, by: host)
            let end = ContinuousClock.now + stage.pace
            return WholeEvaluation {
                // Computed first, so that all views take the same time, whatever else is computed.
                let answer = try own.run()
                while stalls || ContinuousClock.now < end {
                    try cancellation.check()
                    Thread.sleep(forTimeInterval: 0.002)
                }
                return answer
            }
        }

        func evaluate(
            _ half: AutoencoderHalf,
            _ input: Tensor,
            as part: PicturePart?,
            attending tokens: [Tensor],
            cancellation: Cancellation
        ) throws -> WorkResult {
            try networks.evaluate(
                half,
                input,
                as: part,
                attending: tokens,
                cancellation: cancellation
            )
        }
    }

    /// A refinement: all of its views have one size, and take the same time.
    private static var renders: LyingRenders {
        var renders = LyingRenders()
        renders.settings.set(Settings.size, to: Extent(height: 256, width: 256))
        renders.settings.set(Settings.method, to: .refine)
        // No view of the last step can be begun before the inversion has ended.
        renders.settings.set(Settings.refineSteps, to: 1)
        renders.settings.set(Settings.globalPass, to: .coordinator)
        let ladder = try? Ladder(scales: [1, 2])
        renders.settings.set(Settings.ladder, to: ladder.map { .given($0) })
        return renders
    }

    /// The picture, the timestep of the last step, and how many views it has.
    private static let whole = Result {
        let hosts = try LyingHosts(LyingRenders.model, [])
        defer { hosts.stop() }
        let stage = Stage(pace: .zero)
        try hosts.add("a") { PacedNetworks($0, "a", stage) }
        let picture = try renders.render(on: hosts, .off).picture
        let timestep = stage.all.last?.timestep ?? 0
        return (picture, timestep, stage.all.count { $0.timestep == timestep })
    }

    /// Another host is idle when the last view is begun. If hosts have left, it gets a copy of the view at once;
    /// otherwise when the view is late.
    @Test(arguments: [true, false]) func theLastViewIsComputedTwice(hostsLeave: Bool) throws {
        let (picture, timestep, count) = try Self.whole.get()
        let pace = Duration.milliseconds(600)
        let stage = Stage(pace: pace, last: (timestep, count))
        // The number of hosts for which one view is left after full rounds.
        let number = try #require((2...5).first { count % $0 == 1 }, "\(count) views")
        let hosts = try LyingHosts(LyingRenders.model, [])
        defer { hosts.stop() }
        let leaving = hostsLeave ? ["x", "y", "z"] : []
        for name in ["a", "b", "c", "d", "e"].prefix(number) + leaving {
            try hosts.add(name) { PacedNetworks($0, name, stage) }
        }
        let joined = number + leaving.count
        #expect(eventually { hosts.cluster.statistics.count(where: \.isActive) == joined })
        let result = BlockingQueue<Result<Data, any Error>>()
        try inTemporaryFolder { folder in
            let rendering = Self.renders.rendering("\(folder)/out.png", .off)
            let thread = NamedThread("render", stack: 64 << 20) { [cluster = hosts.cluster] in
                result.put(
                    Result {
                        let outcome = try rendering.run(
                            on: { _, _, _, _ in Rendering.Workers(cluster: cluster) }
                        )
                        return try Data(contentsOf: URL(fileURLWithPath: outcome.picture))
                    }
                )
            }
            for name in leaving {
                // It leaves with the view that it is computing.
                #expect(eventually { stage.all.contains { $0.host == name } })
                hosts.stop(name)
            }
            let found = try result.take().get()
            thread.join()
            #expect(found == picture)
        }
        let all = stage.all
        let stalled = try #require(all.first { $0.isStalled })
        let copy = try #require(all.first { $0.view == stalled.view && $0.host != stalled.host })
        let delay = stalled.time.duration(to: copy.time) / pace
        #expect(hostsLeave ? delay < 0.6 : delay > 0.9, "\(delay) times a view's usual time")
    }
}

import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Sampling
import Testing

/// Liars in refinements are found, and the picture is the same.
@Suite(.serialized) struct VerifyRefineTests {
    private func renders(_ size: Extent, scale: Double) -> LyingRenders {
        var renders = LyingRenders()
        renders.settings.set(Settings.size, to: size)
        renders.settings.set(Settings.steps, to: 2)
        renders.settings.set(Settings.method, to: .refine)
        renders.settings.set(Settings.refineSteps, to: 1)
        renders.settings.set(Settings.stride, to: .every(15))
        let ladder = try? Ladder(scales: [1, scale])
        renders.settings.set(Settings.ladder, to: ladder.map { .given($0) })
        return renders
    }

    @Test(arguments: [
        LyingNetworks.Manner.every(10), .below(timestep: 100), .autoencoder(.decoder, every: 1),
    ])
    func smallPictures(_ manner: LyingNetworks.Manner) throws {
        let renders = renders(Extent(height: 256, width: 256), scale: 2)
        try renders.check([("a", .never), ("b", manner)], liars: ["b"], honest: renders.honest())
    }

    /// Larger than a VAE decodes at once: one host lies about the tiles that it encodes, another about those that it
    /// decodes. Takes more than a minute of computing, so it is a part of `make soak`.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["TESSERA_SLOW_TESTS"] != nil))
    func tiles() throws {
        let renders = renders(Extent(height: 1032, width: 1024), scale: 8)
        let outcome = try renders.check(
            [
                ("a", .never), ("b", .autoencoder(.decoder, every: 7)),
                ("c", .autoencoder(.encoder, every: 7)),
            ],
            liars: ["b", "c"],
            honest: renders.honest()
        )
        #expect(outcome.checks.returns > 1)
        let last = try #require(outcome.plan.enlargements[1])
        #expect(!last.encode.isWhole, "this tests no tiles")
    }
}

import Coordinator
import FakeModel
import Foundation
import Testing

/// Liars at the default share: not all of them are found, but what is found is repaired, and nobody else is blamed.
@Suite(.serialized) struct VerifyShareTests {
    private static func hosts(_ manner: LyingNetworks.Manner) -> [LyingHosts.Manner] {
        [("a", .never), ("b", manner), ("c", .never)]
    }

    /// An unknown host is checked at least once: one that always lies is found as soon as it has answered.
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func aNewHostThatAlwaysLies(seed: UInt64) throws
    {
        let renders = LyingRenders(seed: seed)
        let honest = try renders.honest()
        try renders.untilFound(["b"], among: Self.hosts(.always), .byDefault) { result in
            #expect(result.picture == honest)
        }
    }

    /// Wrong from some step on: answers that were checked before are good, so everything wrong is discarded.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func aHostThatBreaks(seed: UInt64) throws {
        let renders = LyingRenders(seed: seed)
        let honest = try renders.honest()
        let hosts = Self.hosts(.below(timestep: 600))
        try renders.untilFound(["b"], among: hosts, .share(0.5)) { result in
            // If it is not noticed, the picture may be wrong.
            #expect(result.found.isEmpty || result.picture == honest)
        }
        try renders.untilFound(["b"], among: hosts, .all) { result in
            #expect(result.picture == honest)
        }
    }
}

import Coordinator
import FakeModel
import Foundation
import Testing

/// Liars at the default share: not all of them are found, but what is found is repaired, and nobody else is blamed.
@Suite(.serialized) struct VerifyShareTests {
    private func render(
        seed: UInt64,
        _ manner: LyingNetworks.Manner,
        _ share: VerifyShare
    ) throws -> (result: LyingRenders.Result, lies: Int) {
        let hosts = try LyingHosts(
            LyingRenders.model,
            [("a", .never), ("b", manner), ("c", .never)]
        )
        defer { hosts.stop() }
        let result = try LyingRenders(seed: seed).render(on: hosts, share)
        return (result, hosts.liars["b"]?.lieCount ?? 0)
    }

    /// A host that nobody knows is checked at least once: one that always lies is found in every render.
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func aNewHostThatAlwaysLies(seed: UInt64) throws
    {
        let (result, lies) = try render(seed: seed, .always, .byDefault)
        #expect(lies > 0)
        #expect(result.found == ["b"])
        #expect(try result.picture == LyingRenders(seed: seed).honest())
    }

    /// Wrong from a step on: what was checked before it was good, so all that is wrong is thrown away.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func aHostThatBreaks(seed: UInt64) throws {
        let honest = try LyingRenders(seed: seed).honest()
        let (result, lies) = try render(seed: seed, .below(timestep: 600), .byDefault)
        #expect(lies > 0)
        #expect(result.found.isSubset(of: ["b"]))
        // Either it was noticed, and the picture is that of the others, or the picture is wrong.
        #expect((result.picture == honest) == (result.found == ["b"]))
        let (all, _) = try render(seed: seed, .below(timestep: 600), .all)
        #expect(all.found == ["b"] && all.picture == honest)
    }
}

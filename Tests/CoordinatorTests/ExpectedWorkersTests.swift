import Coordinator
import Fleet
import Protocol
import Testing

/// How many workers a render waits for.
@Suite struct ExpectedWorkersTests {
    private let keys: [PublicKey]

    init() throws {
        keys = try (0..<3).map { _ in try KeyPair.new().publicKey }
    }

    private func count(
        active: [(name: String, key: PublicKey?)] = [],
        refused: Set<String> = [],
        preparing: Set<PublicKey> = [],
        usesLeft: Int = 0,
        isLate: Bool = true,
        change: (inout HostReport) -> Void = { _ in }
    ) -> Int {
        var host = HostReport(
            host: "alpha",
            command: [],
            task: .run,
            expected: ["alpha-1", "alpha-2"]
        )
        change(&host)
        return ExpectedWorkers(
            reports: [host],
            active: active,
            refused: refused,
            members: [("box", keys[0]), ("den", keys[1])],
            preparing: preparing,
            usesLeft: usesLeft,
            isLate: isLate
        ).count
    }

    @Test func machinesThatJoinedByInvitationAreWaitedForAMoment() {
        #expect(count(isLate: false) == 4)
        #expect(count() == 2)
        #expect(count(usesLeft: 3) == 5)
    }

    @Test func aMachineThatFetchesTheModelIsWaitedFor() {
        #expect(count(preparing: [keys[0]]) == 3)
        #expect(count(active: [("box", keys[0])], preparing: [keys[0]]) == 3)
        #expect(count(active: [("box", keys[0])], preparing: [keys[0], keys[1]]) == 4)
        // This machine was refused.
        #expect(count(refused: ["box"], preparing: [keys[0]]) == 2)
        // This machine was removed from the cluster.
        #expect(count(preparing: [keys[2]]) == 2)
    }

    @Test func hostsCountWithWhatTheyCanStillStart() {
        #expect(count { $0.fail("ssh: no route") } == 0)
        #expect(count(refused: ["alpha-1"]) == 1)
        #expect(count(active: [("alpha-1", nil)]) { $0.fail("ssh: no route") } == 1)
    }
}

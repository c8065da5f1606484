import Coordinator
import Fleet
import Foundation
import Protocol
import Testing

@Suite struct OtherWorkersTests {
    private func worker(
        _ name: String,
        isActive: Bool = true,
        rate: Double = 0
    ) -> ClusterFolder.Snapshot.Worker {
        var more = ClusterFolder.Snapshot.More()
        more.rate = rate
        return .init(
            name: name,
            threads: 6,
            backend: "onednn",
            precision: "f32",
            device: "A processor",
            model: "/m",
            isActive: isActive,
            views: 12,
            busy: 3,
            lastHeard: 98,
            more: more
        )
    }

    private func snapshot(
        _ workers: [ClusterFolder.Snapshot.Worker],
        unitsLeft: Int = 0
    ) -> ClusterFolder.Snapshot {
        let process = ProcessIdentity(id: 4711, start: 1, boot: "b")
        var snapshot = ClusterFolder.Snapshot(coordinator: process, endpoint: "tcp://1.2.3.4:5", [])
        (snapshot.workers, snapshot.unitsLeft) = (workers, unitsLeft)
        return snapshot
    }

    private func members(_ names: [String]) throws -> [Member] {
        var book = JoinBook()
        let invitation = try KeyPair.new().publicKey
        try book.add(Invitation(key: invitation, made: 0, ends: 1000, uses: 9), at: 0)
        for name in names {
            let request = JoinRequest(key: try KeyPair.new().publicKey, name: name)
            _ = book.register(request, by: invitation, from: "10.0.0.7", at: 1)
        }
        return book.members
    }

    @Test func machinesThatJoinedAreListedAndHostsOfTheFileAreNot() throws {
        let members = try members(["box", "cave"])
        let key = try #require(members.last?.key.text)
        let others = OtherWorkers(
            members: members,
            lastSeen: [key: 40],
            snapshot: snapshot([worker("box"), worker("desk-1"), worker("hand-made")])
        )
        let rows = others.rows(besides: ["desk"], now: 100)
        #expect(rows.map(\.host) == ["box", "cave", "hand-made"])
        #expect(rows.map(\.state) == ["joined", "away", "joined"])
        #expect(rows.map(\.workers) == ["1/1", "0/1", "1/1"])
        #expect(rows.map(\.cores) == [6, nil, 6])
        #expect(rows.map(\.lastSeen) == [2, 60, 2])
    }

    /// A machine whose workers come through a relay is shown as one.
    @Test func relaysAreListedWithTheirWorkers() throws {
        let others = OtherWorkers(
            members: try members(["gate"]),
            lastSeen: [:],
            snapshot: snapshot([worker("gate/one"), worker("gate/two")])
        )
        let rows = others.rows(besides: [], now: 100)
        #expect(rows.map(\.host) == ["gate", "gate/one", "gate/two"])
        #expect(rows.map(\.state) == ["relay", "joined", "joined"])
        #expect(rows.map(\.workers) == ["2/2", "1/1", "1/1"])
    }

    /// All that is known about a relay's machines is which ones are connected.
    @Test func machinesOfARelayAreThereIfItSaysSo() throws {
        let members = try members(["box", "cave"])
        let others = OtherWorkers(
            members: members,
            lastSeen: [:],
            snapshot: nil,
            relayed: [members[0].key.text]
        )
        let rows = others.rows(besides: [], now: 100).map { "\($0.host) \($0.state) \($0.workers)" }
        #expect(rows == ["box joined 1/1", "cave away 0/1"])
    }

    /// Nothing is being rendered while no unit waits and none was answered recently.
    @Test func anIdleCoordinatorDoesNotRender() throws {
        func state(_ snapshot: ClusterFolder.Snapshot) throws -> String? {
            OtherWorkers(members: try members(["box"]), lastSeen: [:], snapshot: snapshot)
                .rows(besides: [], now: 100).first?.state
        }
        #expect(try state(snapshot([worker("box")])) == "joined")
        #expect(try state(snapshot([worker("box")], unitsLeft: 3)) == "rendering")
        #expect(try state(snapshot([worker("box", rate: 0.5)])) == "rendering")
        #expect(try state(snapshot([worker("box", isActive: false)], unitsLeft: 3)) == "away")
    }
}

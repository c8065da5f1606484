import Fleet
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite struct RestartTests {
    @Test func pausesGrowAndEnd() {
        var restarts = Restarts()
        let pauses = (1...6).map { _ in restarts.pause(after: .seconds(1)) }
        #expect(pauses == [1, 2, 4, 8, 16].map { .seconds($0) } + [nil])
        // A worker that ran for long enough has its five restarts again.
        #expect(restarts.pause(after: .seconds(601)) == .seconds(1))
    }

    private func group(_ script: String, _ events: EventList) throws -> WorkerGroup {
        try WorkerGroup(
            [("a-1", ["-c", script])],
            program: "/bin/sh",
            restarts: true,
            onEvent: events.add
        )
    }

    @Test func aWorkerThatIsKilledStartsAgainUntilTheGroupStops() throws {
        let events = EventList()
        let group = try group("kill -9 $$", events)
        #expect(eventually { events.starts == 2 && events.accounts.count == 2 })
        group.stop(dismissed: false)
        let accounts = events.accounts
        #expect(accounts[0].contains("signal 9") && accounts[0].contains("in 1.0 s (1 of 5)"))
        #expect(accounts[1].contains("in 2.0 s (2 of 5)") && !events.hasEnded)
        usleep(2_500_000)
        #expect(events.starts == 2, "nothing starts in a group that was stopped")
    }

    /// A worker that ends by its own decision, or because it was asked to, is not restarted.
    @Test func aWorkerThatEndsInOrderStaysAway() throws {
        for script in ["exit 64", "kill -TERM $$"] {
            let events = EventList()
            let group = try group(script, events)
            #expect(eventually { events.hasEnded })
            #expect(events.starts == 1 && !events.accounts[0].contains("again"))
            group.stop(dismissed: false)
        }
    }
}

/// Records the events of a group of workers.
private final class EventList: Sendable {
    private let events = Mutex<[WorkerGroup.Event]>([])

    func add(_ event: WorkerGroup.Event) { events.withLock { $0.append(event) } }

    var starts: Int {
        events.withLock { $0.count { if case .started = $0 { true } else { false } } }
    }

    var hasEnded: Bool {
        events.withLock { $0.contains { if case .allEnded = $0 { true } else { false } } }
    }

    var accounts: [String] {
        events.withLock {
            $0.compactMap { if case .ended(_, _, let account, _) = $0 { account } else { nil } }
        }
    }
}

import Coordinator
import Protocol
import Testing

/// Workers that work but crawl are told apart from naturally slow ones, and from chance.
@Suite struct SpeedWatchTests {
    private let one = WorkerID(1)
    private let two = WorkerID(2)
    private let three = WorkerID(3)

    private func changes(
        _ watch: inout SpeedWatch,
        _ worker: WorkerID,
        _ paces: [Double],
        kind: String = "a"
    ) -> [SpeedWatch.Change] {
        paces.compactMap { watch.note(worker, kind: kind, pace: $0) }
    }

    @Test func oneThatSlowsDownIsSaidOnceAndSoIsItsRecovery() {
        var watch = SpeedWatch()
        let fast = [Double](repeating: 1, count: 10)
        #expect(changes(&watch, one, fast) == [])
        #expect(changes(&watch, one, [4, 4, 4, 4, 4, 4, 4]) == [.crawls(4, than: .itself)])
        #expect(changes(&watch, one, fast) == [.recovered])
    }

    @Test func chanceIsNoChange() {
        var watch = SpeedWatch()
        let mixed: [Double] = [1, 1, 9, 1, 1, 1, 9, 1, 1, 1.5, 2, 2, 2, 2, 2, 2, 2]
        #expect(changes(&watch, one, mixed) == [])
        // Units that were computed together with others report that they took no time.
        #expect(changes(&watch, one, [0, 0, 0, 0]) == [])
    }

    @Test func nobodyWaitsForOneThatIsStillQuick() {
        var watch = SpeedWatch()
        let quick = [Double](repeating: 0.02, count: 10)
        #expect(changes(&watch, one, quick + quick.map { $0 * 10 }) == [])
        #expect(changes(&watch, one, quick.map { $0 * 100 }) == [.crawls(100, than: .itself)])
    }

    @Test func oneThatIsSlowFromItsStartIsComparedWithItsKind() {
        var watch = SpeedWatch()
        let fast = [Double](repeating: 1, count: 6)
        let slow = [Double](repeating: 5, count: 6)
        // With only one other worker of its kind, nobody knows which of them is normal.
        #expect(changes(&watch, one, fast) == [] && changes(&watch, three, slow) == [])
        #expect(changes(&watch, two, fast) == [])
        #expect(changes(&watch, three, [5]) == [.crawls(5, than: .others)])
        // Another kind may be slower.
        #expect(changes(&watch, WorkerID(4), slow + slow, kind: "b") == [])
        watch.forget(three)
        #expect(changes(&watch, three, slow) == [.crawls(5, than: .others)])
    }
}

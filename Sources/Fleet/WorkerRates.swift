import Coordinator

/// Each worker's rates over the last few seconds, computed from statistics and times without I/O.
package struct WorkerRates {
    private struct Point {
        let time: Double
        let units: [Int: (units: Int, received: Int, sent: Int)]
    }

    private var points: [Point] = []

    package init() {}

    /// Length of the averaging window in seconds.
    private static let span = 10.0

    /// Fills in the rates of a snapshot's workers, which have the same order as the statistics.
    package mutating func fill(
        _ snapshot: inout ClusterFolder.Snapshot,
        from statistics: [WorkerStatistics],
        at now: Double
    ) {
        let all = statistics.enumerated().map { place, worker in
            (
                place,
                (units: worker.views + worker.tiles, received: worker.received, sent: worker.sent)
            )
        }
        points.append(Point(time: now, units: Dictionary(uniqueKeysWithValues: all)))
        points.removeAll { now - $0.time > Self.span }
        guard let first = points.first, now - first.time > 0 else { return }
        let time = now - first.time
        for (place, count) in all where place < snapshot.workers.count {
            let before = first.units[place] ?? (0, 0, 0)
            func rate(_ now: Int, _ before: Int) -> Double { Double(max(0, now - before)) / time }
            snapshot.workers[place].more?.rate = rate(count.units, before.units)
            snapshot.workers[place].more?.received = rate(count.received, before.received)
            snapshot.workers[place].more?.sent = rate(count.sent, before.sent)
        }
    }
}

extension ClusterFolder.Snapshot.More {
    init(_ worker: WorkerStatistics) {
        self.init()
        (tiles, retries, damaged) = (worker.tiles, worker.retries, worker.damaged)
        (slowness, isLate, version) = (worker.slowness, worker.isLate, worker.version)
        host = worker.host
    }
}

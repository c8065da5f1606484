import Coordinator
import Foundation

/// Detects frozen workers of this host: suspended, or blocked in the kernel on a disk that does not respond. It counts
/// checks instead of reading the clock, which may be changed. Pure.
package struct FrozenWorkers {
    /// Consecutive checks without a message after which a worker counts as frozen.
    package static let looks = 24

    private var seen: [Int32: (heard: Date, looks: Int)] = [:]

    package init() {}

    /// - Parameter statistics: current statistics of the workers
    /// - Returns: workers that have just been found frozen, each reported once
    package mutating func look(at statistics: [WorkerStatistics]) -> [WorkerStatistics] {
        var next: [Int32: (heard: Date, looks: Int)] = [:]
        for worker in statistics {
            let known = seen[worker.process]
            let looks = known?.heard == worker.lastHeard ? (known?.looks ?? 0) + 1 : 0
            next[worker.process] = (worker.lastHeard, looks)
        }
        seen = next
        return statistics.filter { next[$0.process]?.looks == Self.looks }
    }
}

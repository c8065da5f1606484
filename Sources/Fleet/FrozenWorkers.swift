import Coordinator
import Foundation

/// Notices workers of this host that are frozen: stopped, or waiting in the kernel for a disk that does not answer. It counts
/// looks instead of reading a clock, which may be set. Pure.
package struct FrozenWorkers {
    /// Looks in a row after which a worker that was not heard is frozen.
    package static let looks = 24

    private var seen: [Int32: (heard: Date, looks: Int)] = [:]

    package init() {}

    /// - Parameter statistics: of the workers, now
    /// - Returns: those that are frozen, each once
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

import Protocol

/// Finds workers that work but crawl: far slower than they were, or than others of their kind. No clock, no I/O.
///
/// A host that overheats or swaps still answers and sends heartbeats: it is not dead, and its units are not lost, but
/// the user wants to know. Units are views: tiles differ too much from each other.
package struct SpeedWatch {
    package enum Change: Equatable {
        /// The worker is this many times as slow as it was, or as others of its kind are.
        case crawls(Double, than: Reference)
        case recovered
    }

    package enum Reference: Equatable {
        case itself
        case others
    }

    private struct Record {
        var kind: String
        /// Seconds for a unit of cost 1, from the last answers.
        var recent: [Double] = []
        /// The best pace that it has sustained.
        var usual: Double?
        var isSlow = false
    }

    package init() {}

    private var records: [WorkerID: Record] = [:]

    /// Number of answers considered together; slowdown from which a worker crawls, and up to which it has recovered.
    private static let window = 6
    private static let slow = 3.0
    private static let well = 1.5
    /// Seconds for a unit below which nobody waits for a worker, and other programs that run briefly look like a fault.
    private static let least = 1.0
    /// Minimum number of other workers of a kind for a comparison with them.
    private static let leastOthers = 2

    /// Forgets a worker.
    package mutating func forget(_ worker: WorkerID) { records[worker] = nil }

    /// Records an answer.
    ///
    /// - Parameters:
    ///   - worker: the worker that answered
    ///   - kind: what it computes with: those of one kind should be equally fast
    ///   - pace: seconds of computing, for a unit of cost 1
    /// - Returns: what has changed; nil for nothing
    package mutating func note(_ worker: WorkerID, kind: String, pace: Double) -> Change? {
        guard pace > 0 else { return nil }
        var record = records[worker] ?? Record(kind: kind)
        record.recent.append(pace)
        if record.recent.count > Self.window { record.recent.removeFirst() }
        defer { records[worker] = record }
        guard record.recent.count == Self.window else { return nil }
        // The median, because one long unit among short ones is chance.
        let now = Self.median(record.recent)
        let usual = min(record.usual ?? now, now)
        record.usual = usual
        let others = records.filter { id, other in
            id != worker && other.kind == record.kind && other.recent.count == Self.window
        }.values.map { Self.median($0.recent) }
        let byOthers = others.count >= Self.leastOthers ? now / Self.median(others) : 1
        let bySelf = now / usual
        let factor = max(bySelf, byOthers)
        if !record.isSlow, factor >= Self.slow, now >= Self.least {
            record.isSlow = true
            return .crawls(factor, than: bySelf >= byOthers ? .itself : .others)
        }
        if record.isSlow, factor <= Self.well {
            record.isSlow = false
            return .recovered
        }
        return nil
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted[(sorted.count - 1) / 2]
    }
}

import Engine
import Foundation
import Protocol

/// A worker's statistics so far.
package struct WorkerStatistics: Equatable, Sendable {
    package let name: String
    /// The key that it has authenticated with; nil without keys.
    package internal(set) var key: PublicKey?
    /// Model and vector features of its processor.
    package let processor: String
    package let threads: Int
    package let backend: String
    package let precision: String
    /// Path of its model on its host.
    package internal(set) var model: String
    /// Whether it is connected and gets work.
    package internal(set) var isActive: Bool
    package var views = 0
    package internal(set) var tiles = 0
    /// Its own measurement of the time it spent computing.
    package internal(set) var busy: Duration = .zero
    /// Protocol version that is spoken with it, and its process id on its host.
    package internal(set) var version = protocolVersion
    package internal(set) var process: Int32 = 0
    /// What it last reported about its host, and when.
    package internal(set) var host: WorkerReport?
    package internal(set) var hostSeen = Date()
    /// Units that it was given after another attempt, and messages that were damaged in transit.
    package internal(set) var retries = 0
    package internal(set) var damaged = 0
    /// Bytes of messages received from it and sent to it.
    package internal(set) var received = 0
    package internal(set) var sent = 0
    /// How many times as slow as usual it is, if that is worth reporting; and whether it has let a lease expire since
    /// its last answer.
    package internal(set) var slowness: Double?
    package internal(set) var isLate = false
    /// When it last sent anything.
    package internal(set) var lastHeard = Date()

    package init(
        name: String,
        key: PublicKey? = nil,
        processor: String,
        threads: Int,
        backend: String,
        precision: String,
        model: String,
        isActive: Bool
    ) {
        (self.name, self.key, self.processor, self.threads) = (name, key, processor, threads)
        (self.backend, self.precision, self.model) = (backend, precision, model)
        self.isActive = isActive
    }
}

extension [WorkerStatistics] {
    /// What each worker of a cluster has done since an earlier moment.
    ///
    /// - Parameter earlier: the statistics at that moment; the same workers are in the same places
    /// - Returns: one entry for each worker
    package func since(_ earlier: [WorkerStatistics]) -> [WorkerStatistics] {
        enumerated().map { place, now in
            place < earlier.count ? now.since(earlier[place]) : now
        }.joined
    }

    /// One entry for each worker. A worker that reconnected before its old connection was missed has two.
    private var joined: [WorkerStatistics] {
        var all: [WorkerStatistics] = []
        for entry in self {
            let twin = all.firstIndex { $0.isSameWorker(as: entry) }
            if let twin { all[twin].add(entry) } else { all.append(entry) }
        }
        return all
    }
}

extension WorkerStatistics {
    fileprivate func since(_ before: WorkerStatistics) -> WorkerStatistics {
        // The entry of a worker that had done nothing may be another's now.
        guard before.name == name else { return self }
        var now = self
        now.views -= before.views
        now.tiles -= before.tiles
        now.busy -= before.busy
        return now
    }

    fileprivate func isSameWorker(as other: WorkerStatistics) -> Bool {
        (name, key, backend, precision) == (other.name, other.key, other.backend, other.precision)
    }

    fileprivate mutating func add(_ other: WorkerStatistics) {
        views += other.views
        tiles += other.tiles
        busy += other.busy
        isActive = isActive || other.isActive
    }
}

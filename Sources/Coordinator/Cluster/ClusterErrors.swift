import Engine
import Foundation
import Protocol

/// The call was ended by `cancel()`. The command line exits with 130.
package struct RenderCancelled: Error, Equatable, CustomStringConvertible {
    package init() {}
    package var description: String { "interrupted" }
}

/// No worker is left to render, and none joined in time. The command line exits with 69.
package struct ClusterUnavailable: Error, Equatable, CustomStringConvertible {
    /// What happened, and what to do.
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// A view or tile that no worker could compute. The command line exits with 70.
package struct UnitFailed: Error, Equatable, CustomStringConvertible {
    /// Its name, such as "view 12 (64×64 at timestep 801, crop 256,0)".
    package let unit: String
    /// The result of each attempt.
    package let reasons: [String]

    package init(unit: String, reasons: [String]) {
        self.unit = unit
        self.reasons = reasons
    }

    package var description: String {
        let times = reasons.count == 1 ? "" : " \(reasons.count) times"
        return "\(unit) failed\(times): \(reasons.joined(separator: "; "))"
    }
}

/// A worker that may not join as it is.
package struct RefusedWorker: Equatable, Sendable {
    /// Why, with both sides.
    package let reason: String
    /// Whether it is changing to what is required, and will call again.
    package let isChanging: Bool

    package init(reason: String, isChanging: Bool) {
        (self.reason, self.isChanging) = (reason, isChanging)
    }
}

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
    /// The version of the protocol that is spoken with it, and its process on its host.
    package internal(set) var version = protocolVersion
    package internal(set) var process: Int32 = 0
    /// What it last said of its host, and when.
    package internal(set) var host: WorkerReport?
    package internal(set) var hostSeen = Date()
    /// Units that it was given and that somebody had been given before; and messages that were damaged on the way.
    package internal(set) var retries = 0
    package internal(set) var damaged = 0
    /// Bytes of messages from it and to it.
    package internal(set) var received = 0
    package internal(set) var sent = 0
    /// How many times as slow as usual it is, where that is worth a line; and whether it has let a lease expire since its
    /// last answer.
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

extension WorkerStatistics {
    /// What it has done since an earlier moment.
    func since(_ earlier: [WorkerStatistics]) -> WorkerStatistics {
        guard let before = earlier.first(where: { $0.name == name }) else { return self }
        var now = self
        now.views -= before.views
        now.tiles -= before.tiles
        now.busy -= before.busy
        return now
    }
}

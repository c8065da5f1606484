import Engine
import Foundation

/// The call was ended by `cancel()`. The command line exits with 130.
package struct RenderCancelled: Error, Equatable, CustomStringConvertible {
    package init() {}
    package var description: String { "interrupted" }
}

/// No worker is left to render, and none came in time. The command line exits with 69.
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
    /// Which: "view 12 (64×64 at timestep 801, crop 256,0)".
    package let unit: String
    /// What became of each attempt.
    package let reasons: [String]

    package init(unit: String, reasons: [String]) {
        self.unit = unit
        self.reasons = reasons
    }

    package var description: String {
        "\(unit) failed on \(reasons.count) workers: \(reasons.joined(separator: "; "))"
    }
}

/// What one worker has done so far.
package struct WorkerStatistics: Equatable, Sendable {
    package let name: String
    /// Model and vector features of its processor.
    package let processor: String
    package let threads: Int
    package let backend: String
    package let precision: String
    /// Whether it is here and gets work.
    package internal(set) var isActive: Bool
    package internal(set) var views = 0
    package internal(set) var tiles = 0
    /// Time it spent computing, as it says.
    package internal(set) var busy: Duration = .zero
    /// When it last sent anything.
    package internal(set) var lastHeard = Date()
}

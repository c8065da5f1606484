import Engine
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
    /// Why, describing both sides.
    package let reason: String
    /// Whether it is changing to what is required, and will try again.
    package let isChanging: Bool

    package init(reason: String, isChanging: Bool) {
        (self.reason, self.isChanging) = (reason, isChanging)
    }
}

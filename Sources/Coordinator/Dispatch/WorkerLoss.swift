/// How a worker was lost.
package enum WorkerLoss: String, Equatable, Sendable, CustomStringConvertible {
    /// It said goodbye, or was replaced: this is not a failure.
    case left
    /// Its connection or process ended.
    case vanished
    /// It was silent for too long.
    case silent = "fell silent"

    /// Whether the unit that it was computing counts as failed.
    var isCharged: Bool { self != .left }

    package var description: String { rawValue }
}

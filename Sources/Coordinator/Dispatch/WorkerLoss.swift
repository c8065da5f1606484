/// How a worker came to be gone.
package enum WorkerLoss: String, Equatable, Sendable, CustomStringConvertible {
    /// It said goodbye, or was replaced: nobody is to blame.
    case left
    /// Its connection or process ended.
    case vanished
    /// It said nothing for too long.
    case silent = "fell silent"

    /// Whether what it was computing is charged with it.
    var isCharged: Bool { self != .left }

    package var description: String { rawValue }
}

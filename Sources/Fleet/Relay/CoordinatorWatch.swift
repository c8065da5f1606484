/// Tracks from messages whether the coordinator answers a relay. Pure.
package struct CoordinatorWatch {
    /// Why the relay cannot work with the coordinator, as text.
    package private(set) var trouble: String?
    /// When the relay began to wait for an answer; the coordinator sends something to each worker every second.
    private var awaited: Duration?
    /// When the last worker disconnected; nil while any is connected.
    private var deserted: Duration?
    /// Whether to tell the user when it answers: the first time, and after reported trouble.
    private var tellsOfAnswer = true

    /// Silence after which the coordinator or the network counts as down; shorter than the workers' own timeout.
    package static let patience: Duration = .seconds(8)

    package init() {}

    /// Called when a worker has sent something.
    package mutating func sent(at now: Duration) { awaited = awaited ?? now }

    /// Called when the coordinator has sent something.
    ///
    /// - Returns: whether to tell the user
    package mutating func heard() -> Bool {
        defer { (awaited, trouble, tellsOfAnswer) = (nil, nil, false) }
        return tellsOfAnswer
    }

    /// Called when the relay cannot work with the coordinator.
    ///
    /// - Parameters:
    ///   - words: what is wrong
    ///   - isTold: whether the user was told
    package mutating func note(trouble words: String, isTold: Bool) {
        trouble = words
        if isTold { tellsOfAnswer = true }
    }

    /// Whether the coordinator has just been found silent.
    ///
    /// - Parameters:
    ///   - now: time on the relay's clock
    ///   - hasWorkers: whether any worker is connected. Workers of a silent coordinator come and go; without any, no
    ///     answer is expected
    /// - Returns: true until the trouble is noted or the coordinator is heard
    package mutating func isFallingSilent(at now: Duration, hasWorkers: Bool) -> Bool {
        deserted = hasWorkers ? nil : deserted ?? now
        if let deserted, now - deserted > Self.patience * 4 { awaited = nil }
        guard hasWorkers, trouble == nil, let awaited else { return false }
        return now - awaited > Self.patience
    }
}

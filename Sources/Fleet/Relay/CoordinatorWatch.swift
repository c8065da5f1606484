/// Whether the coordinator answers a relay, as far as messages show. Pure.
package struct CoordinatorWatch {
    /// What keeps the relay from the coordinator, in words.
    package private(set) var trouble: String?
    /// Since when an answer is awaited: the coordinator says something every second to each worker.
    private var awaited: Duration?
    /// Since when no worker is connected.
    private var deserted: Duration?
    /// Whether a person is to be told when it answers: at first, and after trouble that was told.
    private var tellsOfAnswer = true

    /// A coordinator that is silent for so long is gone, or the network is; sooner than its workers notice.
    package static let patience: Duration = .seconds(8)

    package init() {}

    /// A worker said something.
    package mutating func sent(at now: Duration) { awaited = awaited ?? now }

    /// The coordinator said something.
    ///
    /// - Returns: whether a person is to be told
    package mutating func heard() -> Bool {
        defer { (awaited, trouble, tellsOfAnswer) = (nil, nil, false) }
        return tellsOfAnswer
    }

    /// Something keeps the relay from it.
    ///
    /// - Parameters:
    ///   - words: what
    ///   - isTold: whether a person was told
    package mutating func note(trouble words: String, isTold: Bool) {
        trouble = words
        if isTold { tellsOfAnswer = true }
    }

    /// Whether it turns out to be silent now.
    ///
    /// - Parameters:
    ///   - now: on the clock of the relay
    ///   - hasWorkers: whether any is connected. Those of a silent coordinator come and go; where none is left, nothing is awaited
    /// - Returns: true until the trouble is noted, or it is heard
    package mutating func isFallingSilent(at now: Duration, hasWorkers: Bool) -> Bool {
        deserted = hasWorkers ? nil : deserted ?? now
        if let deserted, now - deserted > Self.patience * 4 { awaited = nil }
        guard hasWorkers, trouble == nil, let awaited else { return false }
        return now - awaited > Self.patience
    }
}

/// How many messages are read from somebody: tokens that come steadily, one for each message, and are kept
/// for two seconds (a token bucket).
package struct RateLimit: Equatable, Sendable {
    /// Of one worker, far beyond two for each view of the smallest model.
    package static let worker = RateLimit(perSecond: 20_000)
    /// Of all strangers with one key, or of all together where there are no keys: a fleet of thousands that
    /// comes back at once.
    package static let strangers = RateLimit(perSecond: 2000)

    private let perSecond: Double
    private var tokens: Double
    private var last: Duration?

    /// - Parameter perSecond: messages, in the long run
    package init(perSecond: Double) {
        self.perSecond = perSecond
        tokens = 2 * perSecond
    }

    /// Counts one message.
    ///
    /// - Parameter now: on any clock that does not go back
    /// - Returns: whether it may be read
    package mutating func admits(at now: Duration) -> Bool {
        if let last {
            tokens = min(2 * perSecond, tokens + perSecond * ((now - last) / .seconds(1)))
        }
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

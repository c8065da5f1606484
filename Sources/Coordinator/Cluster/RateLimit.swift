/// Limits how many messages are read from a peer: a token bucket, with one token per message and a capacity
/// of two seconds.
package struct RateLimit: Equatable, Sendable {
    /// Limit for one worker: far more than two messages for each view of the smallest model.
    package static let worker = RateLimit(perSecond: 20_000)
    /// Limit for all unknown peers with one key, or for all together if there are no keys: enough for a fleet of
    /// thousands that reconnects at once.
    package static let unidentifiedPeer = RateLimit(perSecond: 2000)

    private let perSecond: Double
    private var tokens: Double
    private var last: Duration?

    /// - Parameter perSecond: messages per second, on average
    package init(perSecond: Double) {
        self.perSecond = perSecond
        tokens = 2 * perSecond
    }

    /// Counts one message.
    ///
    /// - Parameter now: time on a monotonic clock
    /// - Returns: whether the message may be read
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

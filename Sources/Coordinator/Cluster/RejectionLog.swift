import Logging
import Protocol

/// Logs who was rejected or expelled, at a rate that people can read: the same line again after a minute, then at ever
/// longer intervals.
package struct RejectionLog {
    /// Minimum time between a line and its first repetition, and the maximum between two repetitions.
    private static let pauses: (first: Duration, last: Duration) = (.seconds(60), .seconds(3600))

    /// Maximum number of unknown keys that are named in that minimum time: a stranger can make as many as it likes.
    private static let maxNamed = 8

    /// Maximum number of different lines in that time.
    private static let capacity = 256

    private struct Entry {
        var time: Duration
        var pause: Duration
        func isDue(_ now: Duration) -> Bool { now - time >= pause }
    }

    private var last: [String: Entry] = [:]
    private var unsaid: [String: Int] = [:]
    /// When keys that are not in the list were named.
    private var named: [Duration] = []
    /// Lines about connections that nobody has explained yet, and since when.
    private var waiting: [(line: String, since: Duration)] = []

    package init() {}

    /// - Parameters:
    ///   - rejections: failed handshakes
    ///   - now: time on the service's clock
    ///   - isExplained: whether the user was told about a worker that cannot join, which may have made these attempts
    ///   - patience: how long to wait for such an explanation
    ///   - logger: where to log it
    package mutating func note(
        _ rejections: [Rejection],
        at now: Duration,
        isExplained: Bool = false,
        patience: Duration = .zero,
        _ logger: Logger
    ) {
        for rejection in rejections {
            let line = Self.line(rejection)
            if case .listUnreadable = rejection {
                say(line, at: now, logger)
            } else if !waiting.contains(where: { $0.line == line }), waiting.count < Self.capacity {
                waiting.append((line, now))
            }
        }
        if isExplained { waiting = [] }
        while let first = waiting.first, now - first.since >= patience {
            waiting.removeFirst()
            sayOfStranger(first.line, at: now, logger)
        }
    }

    private mutating func sayOfStranger(_ line: String, at now: Duration, _ logger: Logger) {
        named.removeAll { now - $0 >= Self.pauses.first }
        let isKnown = last[line] != nil
        guard isKnown || named.count < Self.maxNamed else {
            say("more connections were rejected, of other keys", at: now, logger)
            return
        }
        if !isKnown { named.append(now) }
        say(line, at: now, logger)
    }

    /// Logs a line, unless it was logged recently.
    ///
    /// - Returns: whether it was logged
    @discardableResult
    package mutating func say(
        _ line: String,
        at now: Duration,
        _ logger: Logger,
        level: Logger.Level = .warning
    ) -> Bool {
        if last[line] == nil, last.count >= Self.capacity {
            last = last.filter { !$0.value.isDue(now) }
            unsaid = unsaid.filter { last[$0.key] != nil }
        }
        let known = last[line]
        guard known?.isDue(now) ?? (last.count < Self.capacity) else {
            if known != nil { unsaid[line, default: 0] += 1 }
            return false
        }
        let pause = known.map { min($0.pause * 2, Self.pauses.last) } ?? Self.pauses.first
        last[line] = Entry(time: now, pause: pause)
        let more = unsaid.removeValue(forKey: line)
        let again = more.map {
            " (\($0 == 1 ? "once" : "\($0) times") more since the last message)"
        }
        logger.log(level: level, "\(line)\(again ?? "")")
        return true
    }

    private static func line(_ rejection: Rejection) -> String {
        switch rejection {
        case .notAllowed(let key?):
            "a worker was rejected: its public key \(key) (\(key.fingerprint)) is not in the list of keys (--allow, or "
                + "allow: in the cluster file), nor that of a machine that joined and was not removed"
        case .notAllowed(nil):
            "a connection was rejected: the other side has no key"
        case .otherMechanism:
            "a connection was rejected: one side encrypts and the other does not"
        case .failed:
            "a connection was rejected: the other side is not a worker, expects another key of this coordinator, or gave up waiting for an answer"
        case .listUnreadable(let problem):
            "the list of keys cannot be read, and the last one stays in force: \(problem)"
        }
    }
}

import Logging
import Protocol

/// Logs who was rejected or expelled, at a rate that people can read.
struct RejectionLog {
    /// Minimum time between two lines of one kind.
    private static let pause: Duration = .seconds(10)

    /// Most different lines in that time.
    private static let memory = 256

    private var last: [String: Duration] = [:]
    private var unsaid: [String: Int] = [:]

    /// - Parameters:
    ///   - rejections: failed handshakes
    ///   - now: on the clock of the service
    ///   - logger: where to log it
    mutating func note(_ rejections: [Rejection], at now: Duration, _ logger: Logger) {
        for rejection in rejections { say(Self.line(rejection), at: now, logger) }
    }

    /// Logs a line, unless it was logged recently.
    mutating func say(_ line: String, at now: Duration, _ logger: Logger) {
        if last[line] == nil, last.count >= Self.memory {
            last = last.filter { now - $0.value < Self.pause }
            unsaid = unsaid.filter { last[$0.key] != nil }
        }
        guard last[line].map({ now - $0 >= Self.pause }) ?? (last.count < Self.memory) else {
            if last[line] != nil { unsaid[line, default: 0] += 1 }
            return
        }
        last[line] = now
        let more = unsaid.removeValue(forKey: line)
        logger.warning("\(line)", metadata: more.map { ["unsaid": "\($0)"] })
    }

    private static func line(_ rejection: Rejection) -> String {
        switch rejection {
        case .notAllowed(let key?):
            "a worker was rejected: its public key \(key) is not in the list (--allow)"
        case .notAllowed(nil):
            "a connection was rejected: the other side has no key"
        case .otherMechanism:
            "a connection was rejected: one side encrypts and the other does not"
        case .failed:
            "a connection was rejected: the other side is not a worker"
        case .listUnreadable(let problem):
            "the list of keys cannot be read, and the last one stays in force: \(problem)"
        }
    }
}

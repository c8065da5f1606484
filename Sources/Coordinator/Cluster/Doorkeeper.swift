import Logging
import Protocol

/// Says who was turned away at the door or turned out, and not more often than people can read.
struct Doorkeeper {
    /// Between two lines of one kind.
    private static let pause: Duration = .seconds(10)

    /// Most different lines in that time.
    private static let memory = 256

    private var last: [String: Duration] = [:]
    private var unsaid: [String: Int] = [:]

    /// - Parameters:
    ///   - rejections: handshakes that failed
    ///   - now: on the clock of the service
    ///   - logger: where it is said
    mutating func note(_ rejections: [Rejection], at now: Duration, _ logger: Logger) {
        for rejection in rejections { say(Self.line(rejection), at: now, logger) }
    }

    /// Says a line, unless it was said a moment ago.
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
            "a worker was turned away: its public key \(key) is not in the list (--allow)"
        case .notAllowed(nil):
            "a stranger was turned away: it showed no key"
        case .otherMechanism:
            "a stranger was turned away: one side encrypts and the other does not"
        case .failed:
            "a stranger was turned away: it did not speak as a worker does"
        case .listUnreadable(let problem):
            "the list of keys holds as it was, for it cannot be read: \(problem)"
        }
    }
}

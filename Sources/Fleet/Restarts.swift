import Glibc

/// When a process whose work was ended from outside is started again: after 1, 2, 4, 8 and 16 s, then no more.
package struct Restarts: Sendable {
    /// How often.
    package static let most = 5
    /// A process that ran for this long was well: earlier losses are forgotten.
    package static let memory: Duration = .seconds(600)

    /// Losses so far.
    package private(set) var losses: Int

    package init(losses: Int = 0) {
        self.losses = losses
    }

    /// Counts a loss.
    ///
    /// - Parameter running: how long the process ran
    /// - Returns: how long to wait before it is started again; nil to give up
    package mutating func pause(after running: Duration) -> Duration? {
        losses = (running > Self.memory ? 0 : losses) + 1
        return losses > Self.most ? nil : .seconds(1 << (losses - 1))
    }

    /// What happens next, for people.
    package func announcement(_ pause: Duration) -> String {
        "starting again in \(pause / .seconds(1)) s (\(losses) of \(Self.most))"
    }
}

extension ChildProcess.Ending {
    /// Whether nobody asked for it: the process crashed, or the system ran out of memory.
    var isAccident: Bool {
        guard case .killed(let signal) = self else { return false }
        return ![SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(signal)
    }
}

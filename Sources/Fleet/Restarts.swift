import Glibc

/// Back-off for restarting a process that crashed, was killed or lost its device: 1, 2, 4, 8 and 16 s, then no more.
package struct Restarts: Sendable {
    /// Maximum number of restarts.
    package static let most = 5
    /// Run time after which a process counts as healthy, and earlier losses are forgotten.
    package static let memory: Duration = .seconds(600)

    /// Losses so far.
    package private(set) var losses: Int

    package init(losses: Int = 0) {
        self.losses = losses
    }

    /// Counts a loss, and returns the back-off before the next start.
    ///
    /// - Parameter running: how long the process ran
    /// - Returns: how long to wait before the restart; nil to give up
    package mutating func pause(after running: Duration) -> Duration? {
        losses = (running > Self.memory ? 0 : losses) + 1
        return losses > Self.most ? nil : .seconds(1 << (losses - 1))
    }

    /// What happens next, as text.
    package func announcement(_ pause: Duration) -> String {
        "starting again in \(pause / .seconds(1)) s (\(losses) of \(Self.most))"
    }
}

extension ChildProcess.Ending {
    /// Whether the end was not requested: the process crashed, or the system ran out of memory.
    var isAccident: Bool {
        guard case .killed(let signal) = self else { return false }
        return ![SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(signal)
    }
}

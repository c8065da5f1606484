import Engine
import Protocol

/// Whether the coordinator with a key, which allows this machine's, answers at an endpoint. Says nothing about itself.
package enum CoordinatorProbe {
    private static let patience: Duration = .seconds(3)

    /// - Parameters:
    ///   - endpoint: where it may be
    ///   - security: this machine's key, and the coordinator's
    ///   - cancellation: ends the wait
    /// - Returns: false, too, where nobody answers in time
    /// - Throws: `SocketError`
    package static func answers(
        _ endpoint: Endpoint,
        _ security: Security,
        _ cancellation: Cancellation
    ) throws -> Bool {
        let wakeup = try Wakeup()
        let socket = try Socket(.dealer, in: SocketContext(), security: security)
        try socket.connect(endpoint)
        // Somebody unknown is answered with a goodbye.
        _ = try socket.send(WorkerMessage.heartbeat.frames)
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline, !cancellation.isCancelled {
            try socket.wait(wakeup, for: .milliseconds(100))
            if case .message(let frames) = try socket.receive() {
                return (try? CoordinatorMessage(frames: frames)) != nil
            }
            if try !socket.rejections().isEmpty { return false }
        }
        return false
    }
}

import Engine
import Protocol

/// Checks whether the coordinator with a given key answers at an endpoint and allows this machine's key, without
/// joining.
package enum CoordinatorProbe {
    private static let patience: Duration = .seconds(3)

    /// - Parameters:
    ///   - endpoint: where the coordinator may be listening
    ///   - security: this machine's key and the coordinator's
    ///   - cancellation: ends the wait
    /// - Returns: false also if nobody answers in time
    /// - Throws: `SocketError`
    package static func answers(
        _ endpoint: Endpoint,
        _ security: Security,
        _ cancellation: Cancellation
    ) throws -> Bool {
        let wakeup = try Wakeup()
        let socket = try Socket(.dealer, in: SocketContext(), security: security)
        try socket.connect(endpoint)
        // The coordinator answers unknown workers with a goodbye.
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

import Engine
import Glibc
import Logging
import Protocol

/// Asks a coordinator which model it needs, for a worker that has none. Waits until a coordinator answers.
package struct ModelInquiry {
    private let options: WorkerProcess.Options
    private let logger: Logger

    /// The backend and precision that a worker without a model announces.
    private static let none = "none"
    private static let patience: Duration = .seconds(5)
    private static let pause: Duration = .seconds(1)

    /// - Parameters:
    ///   - options: options of the worker that will join
    ///   - logger: logs, once, what keeps the worker from joining
    package init(_ options: WorkerProcess.Options, _ logger: Logger) {
        (self.options, self.logger) = (options, logger)
    }

    /// - Parameters:
    ///   - obstacle: why the worker could not meet a coordinator's earlier requirements
    ///   - cancellation: ends the wait
    /// - Returns: the coordinator's requirements; nil if cancelled
    /// - Throws: `InputError` if the coordinator has a different version of Tessera, `SocketError`
    package func requirements(
        _ obstacle: WorkerMessage.Obstacle?,
        _ cancellation: Cancellation
    ) throws -> WorkerRequirements? {
        let context = try SocketContext()
        let wakeup = try Wakeup()
        var told: Set<String> = []
        while !cancellation.isCancelled {
            let socket = try Socket(.dealer, in: context, security: options.security)
            try socket.connect(options.endpoint)
            _ = try socket.send(WorkerMessage.hello(hello(obstacle)).frames)
            let deadline = ContinuousClock.now + Self.patience
            waiting: while ContinuousClock.now < deadline, !cancellation.isCancelled {
                try socket.wait(wakeup, for: .milliseconds(100))
                for rejection in try socket.rejections() {
                    let line = "\(rejection.error(of: options))"
                    if told.insert(line).inserted { logger.warning("\(line)") }
                }
                guard case .message(let frames) = try socket.receive() else { continue }
                switch try? CoordinatorMessage(frames: frames) {
                case .refusal(let refusal):
                    guard protocolVersions.contains(refusal.version) else {
                        throw InputError(
                            options.endpoint.address,
                            refusal.reason,
                            fix: "Install the same version of Tessera on both"
                        )
                    }
                    return refusal.required
                case .goodbye: break waiting
                default: break
                }
            }
            if told.insert("").inserted, !cancellation.isCancelled {
                logger.notice(
                    "waiting for a coordinator at \(options.endpoint), to ask for its model"
                )
            }
            wakeup.wait(for: Self.pause * Double.random(in: 0.5...1))
        }
        return nil
    }

    private func hello(_ obstacle: WorkerMessage.Obstacle?) -> WorkerMessage.Hello {
        var hello = WorkerMessage.Hello(
            name: options.name,
            model: .none,
            threads: 1,
            processor: Processor.description,
            backend: Self.none,
            precision: Self.none,
            processID: getpid()
        )
        hello.adapts = true
        hello.obstacle = obstacle
        return hello
    }
}

import Engine
import Protocol

/// Registers this machine with a cluster, using an invitation. Waits until a coordinator answers.
package struct Registration {
    private let code: InvitationCode
    private let endpoint: Endpoint
    private let request: JoinRequest

    /// How long a coordinator may take to answer on one connection.
    private static let patience: Duration = .seconds(5)
    /// Pause between two connections.
    private static let pause: Duration = .milliseconds(500)
    /// How long a connection may keep failing for an unknown reason. The socket retries meanwhile: a coordinator
    /// without keys often closes the connection before it has said so.
    private static let doubt: Duration = .seconds(2)
    /// Maximum number of consecutive connections that may fail like this: one fails if a coordinator exits just then.
    /// If the listener is known to have no keys, we wait for the next coordinator.
    private static let maxFailures = (unknown: 3, withoutKeys: 20)

    /// - Parameters:
    ///   - code: the invitation code
    ///   - endpoint: where the coordinator listens
    ///   - key: this machine's public key
    ///   - name: the name that this machine asks for
    package init(_ code: InvitationCode, at endpoint: Endpoint, key: PublicKey, name: String) {
        (self.code, self.endpoint) = (code, endpoint)
        request = JoinRequest(key: key, name: name)
    }

    /// - Parameters:
    ///   - cancellation: ends the wait
    ///   - onWaiting: called when the call has to wait, and whenever the reason changes
    /// - Returns: the name that this machine was given; nil if cancelled
    /// - Throws: `InputError` if the invitation is refused, `SocketError`
    package func register(
        _ cancellation: Cancellation,
        onWaiting: (Waiting) -> Void
    ) throws -> String? {
        var told: Waiting?
        func tell(_ reason: Waiting) {
            if told != reason { onWaiting(reason) }
            told = reason
        }
        let context = try SocketContext()
        let wakeup = try Wakeup()
        var failures = 0
        while !cancellation.isCancelled {
            switch try attempt(in: context, wakeup, cancellation) {
            case .joined(let name): return name
            case .refused(let reason): throw refusal(reason)
            case .notAllowed:
                throw refusal(
                    "the coordinator does not know this invitation: it is for another cluster, or ended long ago"
                )
            case .failed:
                failures += 1
                let most = Self.maxFailures
                guard failures < (told == .withoutKeys ? most.withoutKeys : most.unknown) else {
                    throw unknownListener
                }
            case .withoutKeys:
                failures = 0
                tell(.withoutKeys)
            case .nothing(let obstacle):
                failures = 0
                tell(.nobody(obstacle))
            }
            wakeup.wait(for: Self.pause * Double.random(in: 0.5...1))
        }
        return nil
    }

    /// Why the call waits.
    package enum Waiting: Equatable, Sendable {
        /// Nobody answers; the value says what keeps the proxy from connecting, if anything does.
        case nobody(String?)
        /// The listening coordinator was started before the first invitation created keys; the next one will have them.
        case withoutKeys
    }

    /// Outcome of one attempt to reach a coordinator.
    package enum Outcome: Equatable, Sendable {
        case joined(String)
        case refused(String)
        /// The coordinator does not allow the invitation's key.
        case notAllowed
        /// The listener does not use encryption.
        case withoutKeys
        /// The listener is not this coordinator.
        case failed
        /// Nobody answers; the value says what keeps the proxy from connecting, if anything does.
        case nothing(String?)
    }

    /// Makes one attempt.
    ///
    /// - Throws: `SocketError`
    package func attempt(_ cancellation: Cancellation) throws -> Outcome {
        try attempt(in: SocketContext(), Wakeup(), cancellation)
    }

    private func attempt(
        in context: SocketContext,
        _ wakeup: Wakeup,
        _ cancellation: Cancellation
    ) throws -> Outcome {
        let security = Security.worker(code.pair, coordinator: code.coordinator)
        let socket = try Socket(.dealer, in: context, security: security)
        try socket.connect(endpoint)
        _ = try socket.send(WorkerMessage.join(request).frames)
        var deadline = ContinuousClock.now + Self.patience
        var hasFailed = false
        while ContinuousClock.now < deadline, !cancellation.isCancelled {
            try socket.wait(wakeup, for: .milliseconds(100))
            if case .message(let frames) = try socket.receive() {
                guard case .joined(let answer)? = try? CoordinatorMessage(frames: frames) else {
                    return .failed
                }
                switch answer.outcome {
                case .joined(let name): return .joined(name)
                case .refused(let reason): return .refused(reason)
                }
            }
            for rejection in try socket.rejections() {
                switch rejection {
                case .notAllowed(nil): return .notAllowed
                case .otherMechanism: return .withoutKeys
                default:
                    if !hasFailed { deadline = min(deadline, .now + Self.doubt) }
                    hasFailed = true
                }
            }
        }
        return hasFailed ? .failed : .nothing(socket.obstacle())
    }

    /// The error for an invitation that the coordinator refuses.
    package func refusal(_ reason: String) -> InputError {
        // A machine with another version does not use up the invitation.
        let isVersion = VersionAdvice.isAdvice(reason)
        return InputError(
            endpoint.address,
            "the coordinator did not let this machine join: \(reason.withoutFullStop)",
            fix: isVersion
                ? "Then join with the same invitation"
                : "Make an invitation there with tessera cluster invite, and join with it"
        )
    }

    private var unknownListener: InputError {
        InputError(
            endpoint.address,
            "the process that listens there is not the coordinator of this invitation",
            fix: "Check the address, or ask for a new invitation"
        )
    }
}

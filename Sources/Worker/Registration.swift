import Engine
import Protocol

/// Puts this machine on a cluster's list with an invitation. Waits until a coordinator answers.
package struct Registration {
    private let code: InvitationCode
    private let endpoint: Endpoint
    private let request: JoinRequest

    /// How long a coordinator may take to answer over one connection.
    private static let patience: Duration = .seconds(5)
    /// Time between two connections.
    private static let pause: Duration = .milliseconds(500)
    /// How long a connection may fail for no known reason. The socket tries again meanwhile: a coordinator without keys often
    /// closes the connection before it has said so.
    private static let doubt: Duration = .seconds(2)
    /// Connections that may fail so in a row: a coordinator that ends just then fails one. Where it is known that one without
    /// keys listens, the next coordinator is waited for.
    private static let maxFailures = (unknown: 3, withoutKeys: 20)

    /// - Parameters:
    ///   - code: the invitation
    ///   - endpoint: where the coordinator listens
    ///   - key: this machine's own public key
    ///   - name: what it would like to be called
    package init(_ code: InvitationCode, at endpoint: Endpoint, key: PublicKey, name: String) {
        (self.code, self.endpoint) = (code, endpoint)
        request = JoinRequest(key: key, name: name)
    }

    /// - Parameters:
    ///   - cancellation: ends the wait
    ///   - onWaiting: called when it has to wait, and when the reason changes
    /// - Returns: what this machine is called; nil if it was cancelled
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

    /// Why it waits.
    package enum Waiting: Equatable, Sendable {
        /// With what keeps its proxy from connecting, where there is one.
        case nobody(String?)
        /// The coordinator that listens was started before the first invitation made keys; the next one has them.
        case withoutKeys
    }

    /// How one call to a coordinator ended.
    package enum Outcome: Equatable, Sendable {
        case joined(String)
        case refused(String)
        /// The coordinator does not admit the invitation's key.
        case notAllowed
        /// Somebody listens who does not encrypt.
        case withoutKeys
        /// Somebody listens who is not this coordinator.
        case failed
        /// Nobody answers; and what keeps the proxy from connecting, where there is one.
        case nothing(String?)
    }

    /// Calls once.
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

    /// The error of an invitation that the coordinator refuses.
    package func refusal(_ reason: String) -> InputError {
        // The invitation is not used up by a machine of another version.
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

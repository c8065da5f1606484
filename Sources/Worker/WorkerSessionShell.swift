import Engine
import Logging
import Protocol

/// Passes messages between the socket, the session's state and the compute thread. It makes no decisions.
final class WorkerSessionShell {
    private let options: WorkerProcess.Options
    private let mailbox: Mailbox<WorkerNote>
    private let units: BlockingQueue<Computation?>
    private let logger: Logger
    private let start = ContinuousClock.now
    private var state: WorkerSessionState
    /// Connection problems that have been logged: each is logged once, not on every attempt.
    private var logged: Set<String> = []

    /// Cancellations of the batches being computed, by batch number.
    private var cancellations: [Int: Cancellation] = [:]
    /// Whether a batch is being computed.
    var isComputing: Bool { !cancellations.isEmpty }

    /// The device error after which nothing more can be computed in this process.
    private(set) var deviceLoss: DeviceError?

    /// Cancels the batches that are being computed.
    func cancel() { for cancellation in cancellations.values { cancellation.cancel() } }

    init(
        options: WorkerProcess.Options,
        hello: WorkerMessage.Hello,
        batches: BatchSizes,
        depth: Int = 1,
        endsWithConnection: Bool = false,
        mailbox: Mailbox<WorkerNote>,
        units: BlockingQueue<Computation?>,
        logger: Logger
    ) {
        self.options = options
        self.mailbox = mailbox
        self.units = units
        self.logger = logger
        // A worker that stays refused does not log every attempt.
        if hello.obstacle != nil { logged = [""] }
        var session = WorkerSessionState.Options(hello: hello)
        session.credit = options.credit
        session.batches = batches
        session.depth = depth
        session.isLocalChild = options.isLocalChild
        session.endsWithConnection = endsWithConnection
        state = WorkerSessionState(options: session)
    }

    /// How a connection ended.
    private enum Outcome {
        case reconnect(after: Duration)
        case end(WorkerSessionState.Ending)
    }

    /// Runs the session over successive connections.
    func run() throws -> WorkerSessionState.Ending {
        let context = try SocketContext()
        while true {
            switch try converse(in: context) {
            case .end(let ending): return ending
            case .reconnect(let pause):
                if let ending = sleep(pause) { return ending }
            }
        }
    }

    private func converse(in context: SocketContext) throws -> Outcome {
        let socket = try Socket(.dealer, in: context, security: options.security)
        try socket.connect(options.endpoint)
        // The neighbours that this coordinator named may fetch while it is connected.
        defer { options.neighbours?.admit([]) }
        var outcome = try feed(.connected, to: socket)
        while outcome == nil {
            try socket.wait(mailbox.wakeup, for: .milliseconds(200))
            options.neighbours?.note(isBusy: isComputing)
            outcome = try receive(from: socket)
            // Process every note, whatever arrived over the socket: a note that is skipped now is lost.
            for note in mailbox.take() {
                let next = try feed(event(note), to: socket)
                if case .end = next { outcome = next } else { outcome = outcome ?? next }
            }
            // The other side may fix it: log it and try again.
            for rejection in try socket.rejections() {
                logOnce(
                    "\(rejection.error(of: options))",
                    .warning
                )
            }
            if let obstacle = socket.obstacle() { logOnce("\(obstacle); trying again", .warning) }
            if outcome == nil { outcome = try feed(.tick, to: socket) }
        }
        guard let outcome else { preconditionFailure("a conversation without an end") }
        return outcome
    }

    private func receive(from socket: borrowing Socket) throws -> Outcome? {
        while true {
            let event: WorkerSessionState.Event
            switch try socket.receive() {
            case .nothing: return nil
            case .oversized: event = .malformed(.frameCount(FrameLimits().frames + 1))
            case .message(let frames):
                do throws(FrameError) {
                    event = .received(try CoordinatorMessage(frames: frames))
                } catch {
                    event = .malformed(error)
                }
            }
            if let outcome = try feed(event, to: socket) { return outcome }
        }
    }

    private func event(_ note: WorkerNote) -> WorkerSessionState.Event {
        switch note {
        case .finished(let unit, let batch, let microseconds, let result):
            cancellations[batch] = nil
            return .finished(unit, microseconds: microseconds, result)
        case .fitted(let views): return .fitted(views)
        case .lost(let error):
            // The units are not to blame: they are sent elsewhere after the worker has said goodbye.
            cancellations = [:]
            deviceLoss = error
            return .stop
        case .stop:
            return .stop
        }
    }

    private func feed(
        _ event: WorkerSessionState.Event,
        to socket: borrowing Socket
    ) throws -> Outcome? {
        report(event)
        var outcome: Outcome?
        for action in state.handle(event, at: start.duration(to: .now)) {
            switch action {
            case .send(let message): try send(message, over: socket)
            case .compute(let number, let batch):
                let computation = Computation(number, batch)
                cancellations[number] = computation.cancellation
                units.put(computation)
            case .report(let number, let floats):
                try send(.report(HostFacts.report(number, floats: floats)), over: socket)
            case .cancel(let number): cancellations[number]?.cancel()
            case .reconnect(let pause, let cause):
                if logged.isEmpty || cause != .noWelcome {
                    logOnce("connection closed: \(cause.rawValue); retrying until it answers")
                }
                outcome = .reconnect(after: pause)
            case .end(let ending):
                outcome = .end(ending)
            }
        }
        return outcome
    }

    private func send(_ message: WorkerMessage, over socket: borrowing Socket) throws {
        let delivery = try socket.send(message.frames)
        if delivery != .sent {
            // The coordinator is not reading: the timeout will end the connection.
            logOnce("the coordinator is not reading messages", .warning)
        }
    }

    private func report(_ event: WorkerSessionState.Event) {
        switch event {
        case .connected:
            guard logged.isEmpty else { break }
            logger.info("calling", metadata: ["endpoint": "\(options.endpoint)"])
        case .received(.welcome):
            logged = []
            logger.info("joined", metadata: ["endpoint": "\(options.endpoint)"])
        case .malformed(let error):
            logger.warning("malformed message", metadata: ["problem": "\(error)"])
        case .finished(let unit, _, .failure(.failed(let reason))):
            logger.warning(
                "unit failed",
                metadata: ["unit": "\(unit)", "problem": "\(reason)"]
            )
        case .received(.admit(let keys)): options.neighbours?.admit(keys)
        case .received, .finished, .fitted, .stop, .tick: break
        }
    }

    private func logOnce(_ line: String, _ level: Logger.Level = .notice) {
        if logged.insert(line).inserted { logger.log(level: level, "\(line)") }
    }

    /// Waits between two connections, for a randomised time, so that workers do not all reconnect at once.
    ///
    /// - Returns: the ending, if the worker is stopped meanwhile
    private func sleep(_ pause: Duration) -> WorkerSessionState.Ending? {
        let end = ContinuousClock.now + pause * Double.random(in: 0.5...1)
        var ending: WorkerSessionState.Ending?
        while ending == nil, ContinuousClock.now < end {
            mailbox.wakeup.wait(for: ContinuousClock.now.duration(to: end))
            for note in mailbox.take() {
                for case .end(let found) in state.handle(
                    event(note),
                    at: start.duration(to: .now)
                ) {
                    ending = found
                }
            }
        }
        return ending
    }
}

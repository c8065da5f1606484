import Engine
import Foundation
import Protocol

/// Joins as a worker does, and breaks the rules: what a broken or hostile program would do.
struct HostilePeer {
    enum Manner: String {
        /// Asks for nothing, and answers units 1, 2, 3 … with plausible numbers.
        case unasked
        /// Asks for units, sends heartbeats and never answers.
        case mute
        /// Hangs up as soon as it is given a unit, and comes back under its name.
        case crashing
        /// Says of every unit that it cannot be computed, and comes back when it gets no more.
        case refusing
    }

    let manner: Manner
    let endpoint: Endpoint
    let security: Security
    let name: String
    let digest: String
    /// For unsolicited answers.
    let shape: [Int]

    private static let heartbeat: Duration = .milliseconds(100)

    /// Runs until the process is killed.
    func run() throws -> Never {
        while true {
            try converse()
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    /// One connection.
    private func converse() throws {
        let wakeup = try Wakeup()
        let socket = try Socket(.dealer, in: SocketContext(), security: security)
        try socket.connect(endpoint)
        let hello = WorkerMessage.Hello(
            name: name,
            model: ModelIdentity(digest: digest, path: "/models/hostile"),
            threads: 1,
            processor: "any",
            backend: "none",
            precision: "f32",
            processID: getpid()
        )
        func send(_ message: WorkerMessage) throws { _ = try socket.send(message.frames) }
        try send(.hello(hello))
        var beat = ContinuousClock.now
        var (isIn, refused, lastTask) = (false, 0, beat)
        while true {
            try socket.wait(wakeup, for: .milliseconds(20))
            while case .message(let frames) = try socket.receive() {
                switch try CoordinatorMessage(frames: frames) {
                case .welcome:
                    isIn = true
                    FileHandle.standardError.write(Data("joined\n".utf8))
                    lastTask = .now
                    if manner != .unasked { try send(.ask(16)) }
                case .task(let task):
                    lastTask = .now
                    if manner == .crashing { return }
                    if manner == .refusing {
                        try send(.failure(task.id, reason: "no"))
                        try send(.ask(1))
                        refused += 1
                    }
                case .goodbye, .refusal: return
                default: break
                }
            }
            if isIn, manner == .unasked { try answerEverything(send) }
            if refused >= 3, lastTask.duration(to: .now) > .seconds(1) { return }
            if beat.duration(to: .now) > Self.heartbeat {
                beat = .now
                try send(.heartbeat)
            }
        }
    }

    private func answerEverything(_ send: (WorkerMessage) throws -> Void) throws {
        let values = (0..<shape.reduce(1, *)).map { Float($0 % 7) / 3 - 1 }
        for unit in UInt64(1)...400 {
            let answer = WorkerMessage.Answer(
                unit: UnitID(unit),
                microseconds: 1000,
                result: WorkResult(tensor: Tensor(values, shape: shape))
            )
            try send(.answer(answer))
        }
    }
}

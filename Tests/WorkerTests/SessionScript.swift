import Engine
import Protocol
import Worker

/// A worker session whose actions are written as short strings.
struct SessionScript {
    typealias State = WorkerSessionState

    var state: State
    var time: Duration = .zero
    /// Whether "cancel" says which batch.
    var numbersBatches = false

    init(_ options: State.Options = options()) {
        state = State(options: options)
    }

    static func options(localChild: Bool = false) -> State.Options {
        var options = State.Options(
            hello: .init(
                name: "w",
                model: ModelIdentity(digest: "d", path: "p"),
                threads: 1,
                processor: "",
                backend: "",
                precision: "",
                processID: 1
            )
        )
        options.isLocalChild = localChild
        return options
    }

    /// A session that has been welcomed.
    static func serving(_ options: State.Options = options()) -> SessionScript {
        var script = SessionScript(options)
        _ = script.on(.connected)
        _ = script.on(
            .received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5))))
        )
        return script
    }

    mutating func on(_ event: State.Event, after pause: Duration = .zero) -> [String] {
        time += pause
        return state.handle(event, at: time).map { action in
            switch action {
            case .send(.hello): "hello"
            case .send(.ask(let units)): "ask \(units)"
            case .send(.batch(let units)): "batch \(units)"
            case .send(.wanted(let digests)): "wanted \(digests.count)"
            case .send(.answer(let answer)): "answer \(answer.unit)"
            case .send(.failure(let unit, _)): "failure \(unit)"
            case .send(.missing(let unit)): "missing \(unit)"
            case .send(.damaged(let unit)): "damaged \(unit)"
            case .send(.report): "report"
            case .report(let number, let floats): "report \(number) \(floats)"
            case .send(.join): "join"
            case .send(.fetch): "fetch"
            case .send(.heartbeat): "heartbeat"
            case .send(.goodbye): "goodbye"
            case .compute(_, let units):
                "compute " + units.map { "\($0.id)" }.joined(separator: " ")
            case .cancel(let batch): numbersBatches ? "cancel \(batch)" : "cancel"
            case .reconnect(let pause, _): "reconnect \(pause.milliseconds)"
            case .end(let ending):
                switch ending {
                case .stopped: "end stopped"
                case .dismissed: "end dismissed"
                case .refused: "end refused"
                case .disconnected: "end disconnected"
                }
            }
        }
    }
}

/// Helpers that the suites for worker sessions share.
protocol SessionSuite {}

extension SessionSuite {
    typealias State = WorkerSessionState
    typealias Script = SessionScript

    var text: Embedding { Embedding(context: Tensor([1, 2], shape: [1, 1, 2])) }
    var negative: Embedding { Embedding(context: Tensor([3, 4], shape: [1, 1, 2])) }
    var both: CoordinatorMessage.Job { CoordinatorMessage.Job(id: 1) }

    func options(localChild: Bool = false) -> State.Options {
        Script.options(localChild: localChild)
    }

    func task(_ unit: UInt64, job: UInt64 = 1, decode: Bool = false) -> State.Event {
        let prompts = [negative, text].map { WorkUnit.Conditioning(embedding: $0.digest) }
        let kind: WorkUnit.Work =
            decode
            ? .autoencode(.decoder)
            : .predict(.init(timestep: 1, guidance: 2, conditioning: prompts))
        let work = WorkUnit(kind, input: Tensor(zeros: [1, 1, 1, 4]))
        return .received(.task(.init(id: UnitID(unit), job: job, unit: work)))
    }

    func finished(_ unit: UInt64) -> State.Event {
        .finished(UnitID(unit), microseconds: 5, .success(WorkResult(tensor: Tensor(zeros: [1]))))
    }
}

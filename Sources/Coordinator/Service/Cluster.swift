import Engine
import Logging
import Protocol
import Synchronization

/// Renders views on workers that connect to an endpoint.
///
/// Owns the thread that owns the coordinator's socket. `predict` and `evaluate` block the render
/// thread; `cancel` and `stop` may be called from any thread.
package final class Cluster: ViewRenderer {
    package struct Configuration: Sendable {
        /// Where to listen; port 0 lets the system choose.
        package var endpoint: Endpoint
        /// The model that workers must have.
        package var model: ModelIdentity
        package var policy = DispatcherState.Policy()
        /// How often each side sends something.
        package var heartbeat: Duration = .milliseconds(500)
        /// Whom it lets in.
        package var security = Security.open

        package init(endpoint: Endpoint, model: ModelIdentity) {
            self.endpoint = endpoint
            self.model = model
        }
    }

    /// Where it listens, with the port that was chosen.
    package let endpoint: Endpoint

    private let mailbox: Mailbox<ClusterCommand>
    private let board = ClusterBoard()
    private let thread: NamedThread
    private let lastJob = Atomic<UInt64>(0)
    private let isStopped = Atomic<Bool>(false)

    /// Begins to listen.
    ///
    /// - Throws: `InputError` if the endpoint cannot be listened on, `SocketError`
    package init(_ configuration: Configuration, logger: Logger) throws {
        let mailbox = try Mailbox<ClusterCommand>()
        let bound = HandOver<Result<Endpoint, any Error>>()
        let board = board
        thread = NamedThread("coordinator") {
            do {
                let service = try ClusterService(configuration, mailbox, board, logger)
                bound.put(.success(service.endpoint))
                try service.run()
                board.end(mailbox, because: ClusterUnavailable("the cluster was stopped"))
            } catch {
                bound.put(.failure(error))
                board.end(mailbox, because: error)
            }
        }
        self.mailbox = mailbox
        endpoint = try bound.take().get()
    }

    deinit { stop() }

    package func begin(_ job: JobDescription) throws {
        let id = lastJob.add(1, ordering: .relaxed).newValue
        mailbox.post(.begin(OpenJob(id: id, job)))
    }

    package func predict(
        _ views: [ViewRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        try run(views.map { UnitRequest(view: $0) }, onDone: onDone).map(\.wholeTensor)
    }

    package func evaluate(
        _ tiles: [TileRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        try run(tiles.map { UnitRequest(tile: $0) }, onDone: onDone).map(\.wholeTensor)
    }

    package func evaluate(
        _ parts: [PartRequest],
        onDone: (Int) throws -> Void
    ) throws -> [PartResult] {
        try run(parts.map { UnitRequest(part: $0) }, onDone: onDone)
    }

    package func end() { mailbox.post(.end) }

    /// Ends the call that runs, and every later one, with `RenderCancelled`; workers drop what they
    /// have not begun.
    package func cancel() { mailbox.post(.cancel) }

    /// Says goodbye to all workers and closes the socket. Further calls do nothing.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        mailbox.post(.stop)
        thread.join()
    }

    /// What each worker has done so far, in the order in which they first came.
    package var statistics: [WorkerStatistics] { board.statistics }

    /// Tells that the process of a worker on this host has ended, which ends its connection too.
    ///
    /// - Parameters:
    ///   - name: the worker's
    ///   - process: its id
    ///   - account: how it ended, for the message if nobody is left
    package func processEnded(_ name: String, process: Int32, account: String) {
        mailbox.post(.processEnded(name: name, process: process, account: account))
    }

    /// Tells that nobody will join any more: with the last worker gone, calls fail at once.
    package func expectNobody() { mailbox.post(.closed) }

    private func run(
        _ units: [UnitRequest],
        onDone: (Int) throws -> Void
    ) throws -> [PartResult] {
        guard !units.isEmpty else { return [] }
        let reports = HandOver<BatchReport>()
        try board.post(.run(units, reports), to: mailbox)
        var answers = [PartResult?](repeating: nil, count: units.count)
        while true {
            switch reports.take() {
            case .done(let place, let result):
                precondition(answers[place] == nil, "unit \(place) was answered twice")
                answers[place] = result
                do {
                    try onDone(place)
                } catch {
                    mailbox.post(.abandon)
                    throw error
                }
            case .complete:
                let complete = answers.compactMap(\.self)
                precondition(complete.count == units.count, "\(complete.count) of \(units.count)")
                return complete
            case .failed(let error):
                throw error
            }
        }
    }
}

/// What other threads tell the coordinator's thread.
enum ClusterCommand: Sendable {
    case begin(OpenJob)
    case run([UnitRequest], HandOver<BatchReport>)
    /// Nobody waits for the batch any more.
    case abandon
    case end
    case cancel
    case processEnded(name: String, process: Int32, account: String)
    case closed
    case stop
}

/// What the coordinator's thread tells the render thread of a batch.
enum BatchReport: Sendable {
    case done(Int, PartResult)
    case complete
    case failed(any Error)
}

extension PartResult {
    /// The tensor of a view or a picture, whose shape was checked when it came.
    var wholeTensor: Tensor {
        guard let tensor else { preconditionFailure("an answer without its tensor") }
        return tensor
    }
}

/// A job as the coordinator's thread keeps it.
struct OpenJob: Sendable {
    let message: CoordinatorMessage.Job
    let embeddings: [EmbeddingDigest: PromptTensors]
    let vaeFactor: Int
    let latentChannels: Int

    init(id: UInt64, _ job: JobDescription) {
        let positive = job.positive.digest
        var embeddings = [positive: job.positive]
        let negative = job.negative.map { embedding in
            let digest = embedding.digest
            embeddings[digest] = embedding
            return digest
        }
        message = CoordinatorMessage.Job(
            id: id,
            positive: positive,
            negative: negative,
            wire: job.wire
        )
        self.embeddings = embeddings
        vaeFactor = job.vaeFactor
        latentChannels = job.latentChannels
    }
}

/// A view or a tile, as the coordinator's thread keeps it.
struct UnitRequest: Sendable {
    let work: CoordinatorMessage.Work
    /// A latent or a picture.
    let input: Tensor
    /// What people are told if it fails.
    let name: String
    /// Of a part: tokens for its attention.
    var keys: [EmbeddingDigest: PromptTensors] = [:]
    /// Of a part: the half that evaluates it.
    var network: TiledNetwork?

    init(view: ViewRequest) {
        work = .predict(
            .init(
                timestep: view.timestep,
                guidance: view.guidance,
                timeIDs: view.timeIDs,
                branch: view.branch
            )
        )
        input = view.latent
        let crop = view.timeIDs.map { ", crop \(Int($0[2])),\(Int($0[3]))" } ?? ""
        name =
            "view \(view.index) (\(input.shape[1])×\(input.shape[2]) at timestep "
            + "\(view.timestep)\(crop))" + (view.place.map { ", \($0)" } ?? "")
    }

    /// One evaluation of a guided view, which two workers share.
    private init(_ whole: UnitRequest, _ view: CoordinatorMessage.View) {
        work = .predict(view)
        input = whole.input
        name = whole.name
    }

    /// The negative prompt's evaluation and the prompt's; nil for what is not both.
    var halves: [UnitRequest]? {
        guard case .predict(let view) = work, view.branch == .both else { return nil }
        return [GuidanceBranch.negative, .text].map { branch in
            var half = view
            half.branch = branch
            return UnitRequest(self, half)
        }
    }

    /// The strength with which its halves are combined.
    var guidance: Float {
        guard case .predict(let view) = work else { return 1 }
        return view.guidance
    }

    init(tile: TileRequest) {
        work = .autoencode(tile.half)
        input = tile.input
        name = Self.name(tile.index, input)
    }

    init(part request: PartRequest) {
        work = .autoencode(
            request.network.half,
            .init(request.part, keys: request.keys.digests)
        )
        input = request.input
        keys = request.keys.tensors
        network = request.network
        name = Self.name(request.index, input, request.part.norms > 0 ? ", statistics" : "")
    }

    private static func name(_ tile: Int, _ input: Tensor, _ task: String = "") -> String {
        "tile \(tile) (\(input.shape[1])×\(input.shape[2])\(task))"
    }

    /// What kind of work it is, to the dispatcher.
    var kind: DispatcherState.Kind {
        guard case .predict = work else { return .tiles }
        return .views
    }

    /// Latent pixels to evaluate.
    func cost(_ job: OpenJob) -> Double {
        let area = Double(input.count / input.shape[3])
        switch work {
        case .predict(let view): return view.branch == .both ? area : area / 2
        case .autoencode(let half, let part):
            let pixels = half == .encoder ? Double(job.vaeFactor * job.vaeFactor) : 1
            return area / pixels * (part.map { share(of: $0.part) } ?? 1)
        }
    }

    /// The share of a tile's work that is left when what it has become so far is at hand.
    private func share(of part: PicturePart) -> Double {
        guard let network else { return 1 }
        let stop = part.norms > 0 ? part.norms - 1 : network.norms
        let from = part.norms == 1 ? 0 : network.shareOfWork(before: stop - 1)
        // Every pixel attends to all tokens, right after the attention's norm.
        let tokens = stop - 1 == network.attention ? keys.values.reduce(0) { $0 + $1.tokens } : 0
        return network.shareOfWork(before: stop) - from + network.shareOfAttention(to: tokens)
    }

    /// What it costs a worker that has nothing of the tile.
    func costElsewhere(_ job: OpenJob) -> Double {
        guard case .autoencode(_, let part?) = work, let network else { return cost(job) }
        let stop = part.part.norms > 0 ? part.part.norms - 1 : network.norms
        let tokens = keys.values.reduce(0) { $0 + $1.tokens }
        let whole = network.shareOfWork(before: stop) + network.shareOfAttention(to: tokens)
        return cost(job) / share(of: part.part) * whole
    }

    /// The tile that workers keep something of between evaluations; nil for other work.
    var tile: UInt64? {
        guard case .autoencode(_, let part?) = work, part.part.tile != 0 else { return nil }
        return part.part.tile
    }

    /// What is wrong with an answer; nil for a good one.
    func fault(of answer: PartResult, in job: OpenJob) -> String? {
        let (shape, count) = expected(in: job)
        guard answer.tensor?.shape == shape else {
            let found = answer.tensor.map { "\($0.shape)" } ?? "no tensor"
            return "its answer is \(found), not \(shape.map { "\($0)" } ?? "statistics alone")"
        }
        guard answer.statistics.count == count else {
            return "its answer has \(answer.statistics.count) statistics, not \(count)"
        }
        guard answer.isFinite, answer.statistics.allSatisfy({ $0.variance >= 0 }) else {
            return "its answer holds NaN or infinity"
        }
        return nil
    }

    /// The shape of its answer's tensor, nil for none, and the number of its statistics.
    private func expected(in job: OpenJob) -> (shape: [Int]?, statistics: Int) {
        let shape = input.shape
        guard case .autoencode(let half, let part) = work else { return (shape, 0) }
        let factor = job.vaeFactor
        let unit = half == .encoder ? factor : 1
        let core = (part?.part.margins ?? .none)
            .core(height: shape[1] / unit, width: shape[2] / unit)
        let (height, width) = (core.rows.count, core.columns.count)
        guard let part = part?.part, part.norms > 0 else {
            switch half {
            case .decoder: return ([shape[0], height * factor, width * factor, 3], 0)
            case .encoder: return ([shape[0], height, width, job.latentChannels], 0)
            }
        }
        let network = network ?? .pointwise(half)
        let tokens = part.tokens.map { lattice in
            let places = lattice.places(height: height, width: width)
            return [1, places.rows.count, places.columns.count, network.width]
        }
        return (tokens, network.groups)
    }
}

/// What the coordinator's thread shares with the others.
final class ClusterBoard: Sendable {
    private let workers = Mutex<[WorkerStatistics]>([])
    /// Why the thread has ended.
    private let ending = Mutex<(any Error)?>(nil)

    var statistics: [WorkerStatistics] { workers.withLock { $0 } }

    /// Enters a worker that joins; one that comes back under its name goes on with its entry.
    ///
    /// - Returns: its place
    func enter(_ hello: WorkerMessage.Hello) -> Int {
        workers.withLock { workers in
            let known = workers.firstIndex { $0.name == hello.name && !$0.isActive }
            let place = known ?? workers.count
            let entry = WorkerStatistics(
                name: hello.name,
                processor: hello.processor,
                threads: hello.threads,
                backend: hello.backend,
                precision: hello.precision,
                isActive: true
            )
            if let known {
                workers[known].isActive = true
            } else {
                workers.append(entry)
            }
            return place
        }
    }

    func update(_ place: Int, _ change: (inout WorkerStatistics) -> Void) {
        workers.withLock { change(&$0[place]) }
    }

    /// Posts a command unless the thread has ended.
    ///
    /// - Throws: why it has
    func post(_ command: ClusterCommand, to mailbox: Mailbox<ClusterCommand>) throws {
        try ending.withLock { ending in
            if let ending { throw ending }
            mailbox.post(command)
        }
    }

    /// Called by the thread as its last act: fails the batches that it will not see.
    func end(_ mailbox: Mailbox<ClusterCommand>, because error: any Error) {
        ending.withLock { $0 = error }
        for case .run(_, let reports) in mailbox.take() { reports.put(.failed(error)) }
    }
}

extension PromptTensors {
    /// How many tokens it has.
    fileprivate var tokens: Int { context.shape[1] }
}

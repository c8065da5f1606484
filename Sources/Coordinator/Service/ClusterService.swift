import Engine
import Foundation
import Logging
import Protocol

/// The coordinator's thread: carries messages between the socket, the dispatcher and the render
/// thread. It decides nothing.
final class ClusterService {
    let endpoint: Endpoint

    private let configuration: Cluster.Configuration
    private let mailbox: Mailbox<ClusterCommand>
    private let board: ClusterBoard
    private let logger: Logger
    private let socket: Socket
    private let start = ContinuousClock.now

    private var state: DispatcherState
    private var events: [DispatcherState.Event] = []
    private var isFeeding = false

    private var roster = Roster()
    private var batch: RunningBatch?
    private var nextUnit: UInt64 = 1
    private var job: OpenJob?
    /// Tokens of the picture that the job's last parts named: a worker may ask for them when those are done.
    private var keys: [EmbeddingDigest: PromptTensors] = [:]
    /// Who keeps something of which tile.
    private var homes: [UInt64: WorkerID] = [:]
    private var isCancelled = false
    private var isStopping = false
    /// The answer that the event being handled is about.
    private var arriving: (answer: WorkerMessage.Answer, place: Int, worker: WorkerID)?
    /// What last befell a worker.
    private var lastLoss: String?
    private var lastHeartbeat = ContinuousClock.now
    private var dropped = 0
    private var doorkeeper = Doorkeeper()
    private var strangers = RateLimit.strangers

    /// Opens the socket; call on the thread that will run it.
    init(
        _ configuration: Cluster.Configuration,
        _ mailbox: Mailbox<ClusterCommand>,
        _ board: ClusterBoard,
        _ logger: Logger
    ) throws {
        self.configuration = configuration
        self.mailbox = mailbox
        self.board = board
        self.logger = logger
        state = DispatcherState(policy: configuration.policy)
        socket = try Socket(.router, in: SocketContext(), security: configuration.security)
        endpoint = try socket.bind(configuration.endpoint)
    }

    /// Works until it is told to stop.
    ///
    /// - Throws: `SocketError` when the socket itself fails
    func run() throws {
        // Ends the batch too when the socket fails.
        defer { fail(ClusterUnavailable("the cluster was stopped")) }
        let pause = min(configuration.heartbeat, .milliseconds(250))
        while !isStopping {
            // Late workers are found on ticks.
            let tick: Duration = state.isBusy ? min(pause, .milliseconds(50)) : pause
            try socket.wait(mailbox.wakeup, for: tick)
            try receive()
            for command in mailbox.take() { handle(command) }
            feed(.tick)
            beat()
            doorkeeper.note(try socket.encounters(), at: start.duration(to: .now), logger)
        }
        for peer in roster.all { send(.goodbye(.leaving), to: peer) }
        if dropped > 0 {
            logger.notice("dropped messages of strangers", metadata: ["count": "\(dropped)"])
        }
    }

    // MARK: - Other threads

    private func handle(_ command: ClusterCommand) {
        switch command {
        case .begin(let job): (self.job, keys, homes) = (job, [:], [:])
        case .end: (job, keys, homes) = (nil, [:], [:])
        case .run(let units, let reports): begin(units, reports)
        case .abandon:
            batch = nil
            feed(.cancelled)
        case .cancel:
            isCancelled = true
            feed(.cancelled)
            fail(RenderCancelled())
        case .processEnded(let name, let process, let account):
            lastLoss = account
            if let peer = roster.find(name: name, process: process) {
                lose(peer, .vanished, account: account)
            }
        case .closed: feed(.closed)
        case .stop: isStopping = true
        }
    }

    private func begin(_ units: [UnitRequest], _ reports: HandOver<BatchReport>) {
        precondition(batch == nil, "a batch runs already\n\(state.story)")
        guard !isCancelled else { return reports.put(.failed(RenderCancelled())) }
        guard let job else { preconditionFailure("predict or evaluate outside begin … end") }
        // Halves are rounded before they are combined: only as they are do they give the same bits.
        let canShare = job.message.negative != nil && job.message.wire == .f32
        let batch = RunningBatch(
            first: nextUnit,
            units,
            sharedBy: canShare ? state.activeWorkers.count : 1,
            reports: reports
        )
        self.batch = batch
        let units = batch.units
        // All parts of a batch are of one picture.
        if let first = units.first, !first.keys.isEmpty { keys = first.keys }
        let ids = (0..<UInt64(units.count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(units.count)
        feed(
            .submitted(
                ids,
                costs: units.map { $0.cost(job) },
                kind: units.first?.kind ?? .views,
                homes: units.compactMap { unit in
                    unit.tile.map { tile in
                        .init(worker: homes[tile], costElsewhere: unit.costElsewhere(job))
                    }
                }
            )
        )
    }

    private func fail(_ error: any Error) {
        batch?.reports.put(.failed(error))
        batch = nil
    }

    // MARK: - The dispatcher

    private func feed(_ event: DispatcherState.Event) {
        events.append(event)
        guard !isFeeding else { return }
        isFeeding = true
        while !events.isEmpty {
            let event = events.removeFirst()
            for action in state.handle(event, at: start.duration(to: .now)) { perform(action) }
        }
        isFeeding = false
    }

    private func perform(_ action: DispatcherState.Action) {
        switch action {
        case .assign(let unit, let worker, let attempt): assign(unit, to: worker, attempt)
        case .accept(let unit): accept(unit)
        case .abandon(let unit, let worker):
            if let peer = roster[worker] { send(.abandon([unit]), to: peer) }
        case .evict(let worker):
            guard let peer = roster[worker] else { break }
            send(.goodbye(.unknown), to: peer)
            forget(peer, "fell silent")
        case .doubt(let worker):
            guard let peer = roster[worker] else { break }
            lastLoss = "\(peer.hello.name) has not answered in time"
            logger.notice("worker late", metadata: peer.metadata)
        case .setAside(let worker):
            guard let peer = roster[worker] else { break }
            board.update(peer.place) { $0.isActive = false }
            lastLoss = "\(peer.hello.name) was set aside after bad answers or none"
            logger.warning("worker set aside", metadata: peer.metadata)
        case .complete:
            batch?.reports.put(.complete)
            batch = nil
        case .failed(let unit, let casualties):
            let name = batch?.request(unit)?.name ?? "\(unit)"
            fail(UnitFailed(unit: name, reasons: casualties.map(roster.describe)))
        case .deserted:
            fail(ClusterUnavailable(desertion))
        }
    }

    private var desertion: String {
        let patience = configuration.policy.grace.components.seconds
        let waited = state.isClosed ? "" : " and none joined within \(patience) s"
        let loss = lastLoss.map { ": \($0)" } ?? ""
        return "no worker is left\(waited)\(loss). Look at the workers' messages, start workers "
            + "that connect to \(endpoint), and render again"
    }

    private func assign(_ unit: UnitID, to worker: WorkerID, _ attempt: Int) {
        // Gone while this was decided: its loss is the next event.
        guard let peer = roster[worker] else { return }
        guard let job, let request = batch?.request(unit) else {
            preconditionFailure("\(unit) for \(worker) is unknown\n\(state.story)")
        }
        if attempt > 1 {
            logger.info(
                "unit tried again",
                metadata: peer.metadata.merging(
                    ["unit": "\(request.name)", "attempt": "\(attempt)"]) { $1 }
            )
        }
        if roster.announce(job.message.id, to: worker) { send(.job(job.message), to: peer) }
        send(
            .task(
                .init(
                    unit: unit,
                    job: job.message.id,
                    work: request.work,
                    input: request.input,
                    wire: job.message.wire
                )
            ),
            to: peer
        )
    }

    private func accept(_ unit: UnitID) {
        guard let (answer, place, worker) = arriving, answer.unit == unit,
            let request = batch?.request(unit)
        else { preconditionFailure("\(unit) is accepted without an answer\n\(state.story)") }
        if let tile = request.tile { homes[tile] = worker }
        // A view that two share counts for the one that completes it.
        guard let (index, whole) = batch?.take(answer.result, for: unit) else { return }
        board.update(place) { statistics in
            if request.kind == .tiles { statistics.tiles += 1 } else { statistics.views += 1 }
        }
        batch?.reports.put(.done(index, whole))
    }

    // MARK: - Workers

    private func receive() throws {
        // Bounded, so that a flood cannot keep the thread from its other duties.
        for _ in 0..<1024 {
            switch try socket.receive() {
            case .nothing: return
            case .oversized(let id): reject(id, FrameError.frameCount(FrameLimits().frames + 1))
            case .message(let frames): receive(frames)
            }
        }
        mailbox.wakeup.signal()
    }

    private func receive(_ frames: [[UInt8]]) {
        let (id, body) = (frames[0], Array(frames.dropFirst()))
        let now = start.duration(to: .now)
        guard let peer = roster[id] else {
            guard strangers.admits(at: now) else {
                dropped += 1
                return
            }
            return greet(id, body)
        }
        guard roster.hears(peer.worker, at: now) else { return reject(id, .tooOften) }
        do throws(FrameError) {
            handle(try WorkerMessage(frames: body), from: peer)
        } catch {
            reject(id, error)
        }
    }

    /// A message from somebody unknown: only an introduction is read, and it is small.
    private func greet(_ id: [UInt8], _ frames: [[UInt8]]) {
        guard frames.count == 1, frames[0].count <= 4096,
            let message = try? WorkerMessage(frames: frames)
        else {
            dropped += 1
            return
        }
        switch message {
        case .hello(let hello): admit(hello, id)
        case .heartbeat, .ask:
            // It believes to be in: it was given up, or another coordinator had its place.
            send(.goodbye(.unknown), to: id)
        case .wanted, .answer, .failure, .goodbye:
            dropped += 1
        }
    }

    private func admit(_ hello: WorkerMessage.Hello, _ id: [UInt8]) {
        if let refusal = Handshake.refusal(of: hello, by: configuration.model) {
            logger.warning(
                "worker refused",
                metadata: ["worker": "\(hello.name)", "reason": "\(refusal.reason)"]
            )
            lastLoss = "\(hello.name) was refused: \(refusal.reason)"
            send(.refusal(refusal), to: id)
            return
        }
        let peer = roster.add(hello, id, place: board.enter(hello))
        logger.info(
            "worker joined",
            metadata: peer.metadata.merging(
                ["threads": "\(hello.threads)", "processor": "\(hello.processor)"]) { $1 }
        )
        send(
            .welcome(
                .init(heartbeat: configuration.heartbeat, timeout: configuration.policy.silence)
            ),
            to: peer
        )
        feed(.joined(peer.worker))
    }

    private func handle(_ message: WorkerMessage, from peer: Roster.Peer) {
        board.update(peer.place) { $0.lastHeard = Date() }
        switch message {
        case .hello(let hello):
            lose(peer, .left)
            admit(hello, peer.id)
        case .ask(let units): feed(.asked(peer.worker, units))
        case .wanted(let digests):
            feed(.heard(peer.worker))
            for digest in digests.prefix(CoordinatorMessage.Part.mostKeys) {
                if let embedding = job?.embeddings[digest] ?? keys[digest] {
                    send(.embedding(digest, embedding), to: peer)
                }
            }
        case .answer(let answer): handle(answer, from: peer)
        case .failure(let unit, let reason):
            refuse(unit, reason, peer)
        case .heartbeat: feed(.heard(peer.worker))
        case .goodbye: lose(peer, .left)
        }
    }

    private func handle(_ answer: WorkerMessage.Answer, from peer: Roster.Peer) {
        guard let request = batch?.request(answer.unit), let job else {
            return feed(.heard(peer.worker))
        }
        if let fault = request.fault(of: answer.result, in: job) {
            return refuse(answer.unit, fault, peer)
        }
        let spent = Duration.microseconds(Int64(clamping: answer.microseconds))
        board.update(peer.place) { $0.busy += min(spent, .seconds(86_400)) }
        arriving = (answer, peer.place, peer.worker)
        feed(.answered(answer.unit, by: peer.worker, spent: spent))
        arriving = nil
    }

    private func refuse(_ unit: UnitID, _ reason: String, _ peer: Roster.Peer) {
        logger.warning(
            "answer refused",
            metadata: peer.metadata.merging(["reason": "\(reason)", "unit": "\(unit)"]) { $1 }
        )
        feed(.refused(unit, by: peer.worker, reason: reason))
    }

    private enum Loss {
        case left
        case vanished
    }

    private func lose(_ peer: Roster.Peer, _ loss: Loss, account: String? = nil) {
        forget(peer, loss == .left ? "left" : "vanished", account: account)
        feed(loss == .left ? .left(peer.worker) : .vanished(peer.worker))
    }

    private func forget(_ peer: Roster.Peer, _ manner: String, account: String? = nil) {
        guard roster.remove(peer.worker) else { return }
        board.update(peer.place) { $0.isActive = false }
        lastLoss = account ?? "\(peer.hello.name) \(manner)"
        let details: Logger.Metadata = ["how": "\(account ?? manner)"]
        logger.notice("worker gone", metadata: peer.metadata.merging(details) { $1 })
    }

    /// Frames that make no sense. A worker that sends such cannot be trusted to answer: it must
    /// begin anew.
    private func reject(_ id: [UInt8], _ error: FrameError) {
        guard let peer = roster[id] else {
            dropped += 1
            return
        }
        logger.warning(
            "malformed message",
            metadata: peer.metadata.merging(["problem": "\(error)"]) { $1 }
        )
        send(.goodbye(.unknown), to: peer)
        lose(peer, .vanished)
    }

    private func beat() {
        guard lastHeartbeat.duration(to: .now) >= configuration.heartbeat else { return }
        lastHeartbeat = .now
        for peer in roster.all { send(.heartbeat, to: peer) }
    }

    private func send(_ message: CoordinatorMessage, to peer: Roster.Peer) {
        guard roster[peer.worker] != nil else { return }
        switch (send(message, to: peer.id), message) {
        case (.sent, _), (.full, .heartbeat): break
        case (.full, _), (.unreachable, _): lose(peer, .vanished)
        }
    }

    @discardableResult
    private func send(_ message: CoordinatorMessage, to id: [UInt8]) -> Delivery {
        do {
            return try socket.send([id] + message.frames)
        } catch {
            logger.error("send failed", metadata: ["problem": "\(error)"])
            return .unreachable
        }
    }
}

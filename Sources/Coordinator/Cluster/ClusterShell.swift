import Engine
import Foundation
import Logging
import Protocol

/// The coordinator's thread: carries messages between the socket, the dispatcher and the render
/// thread. It decides nothing.
final class ClusterShell {
    let endpoint: Endpoint

    private let configuration: Cluster.Configuration
    private let mailbox: Mailbox<ClusterCommand>
    private let board: ClusterBoard
    private let logger: Logger
    private let socket: Socket
    private let start = ContinuousClock.now

    private var state: DispatcherState
    private var inputs: [Input] = []
    private var isFeeding = false

    private var roster = Roster()
    private var batch: RunningBatch?
    private var nextUnit: UInt64 = 1
    private var jobs: [UInt64: OpenJob] = [:]
    /// Batches of other jobs that wait for the one that runs.
    private var waiting: [(units: [WorkUnit], job: UInt64, reports: BlockingQueue<BatchReport>)] =
        []
    /// What the last batches named: a worker may ask for it when they are done.
    private var embeddings = EmbeddingCache()
    private var isStopping = false
    /// What last befell a worker.
    private var lastLoss: String?
    private var lastHeartbeat = ContinuousClock.now
    private var dropped = 0
    private var doorkeeper = Doorkeeper()
    /// By key, so that one that is allowed cannot keep the others out; nil where there are no keys.
    private var strangers: [PublicKey?: RateLimit] = [:]

    /// Opens the socket; call this on the thread that will run it.
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
        // Ends the batch, too, when the socket fails.
        defer {
            let error = ClusterUnavailable("the cluster was stopped")
            for batch in waiting { batch.reports.put(.failed(error)) }
            waiting = []
            fail(error)
        }
        let pause = min(configuration.heartbeat, .milliseconds(250))
        while !isStopping {
            // Late workers are detected on ticks.
            let tick: Duration = state.isBusy ? min(pause, .milliseconds(50)) : pause
            try socket.wait(mailbox.wakeup, for: tick)
            try receive()
            for command in mailbox.take() { handle(command) }
            feed(.tick)
            beat()
            doorkeeper.note(try socket.rejections(), at: start.duration(to: .now), logger)
        }
        for peer in roster.all { send(.goodbye(.leaving), to: peer) }
        if dropped > 0 {
            logger.notice("dropped messages from unknown peers", metadata: ["count": "\(dropped)"])
        }
    }

    // MARK: - Other threads

    private func handle(_ command: ClusterCommand) {
        switch command {
        case .open(let job): jobs[job.message.id] = job
        case .run(let units, let job, let reports):
            waiting.append((units, job, reports))
            beginNext()
        case .abandon(let job): drop(job)
        case .cancel(let job):
            jobs[job]?.isCancelled = true
            drop(job, because: RenderCancelled())
        case .end(let job):
            jobs[job] = nil
            drop(job, because: ClusterUnavailable("the job was ended"))
        case .processEnded(let name, let process, let account):
            lastLoss = account
            if let peer = roster.find(name: name, process: process) {
                lose(peer, .vanished, account: account)
            }
        case .closed: feed(.closed)
        case .stop: isStopping = true
        }
    }

    /// Begins the batch that has waited longest, unless one runs.
    private func beginNext() {
        while batch == nil, !waiting.isEmpty {
            let (units, id, reports) = waiting.removeFirst()
            guard let job = jobs[id] else {
                reports.put(.failed(ClusterUnavailable("the job was ended")))
                continue
            }
            if job.isCancelled {
                reports.put(.failed(RenderCancelled()))
            } else {
                begin(units, of: job, reports)
            }
        }
    }

    private func begin(
        _ requests: [WorkUnit],
        of job: OpenJob,
        _ reports: BlockingQueue<BatchReport>
    ) {
        let batch = RunningBatch(
            requests,
            of: job,
            first: nextUnit,
            sharedBy: state.activeWorkers.count,
            reports: reports
        )
        self.batch = batch
        let units = batch.units
        var seen: Set<EmbeddingDigest> = []
        for unit in units {
            for digest in unit.embeddingDigests where seen.insert(digest).inserted {
                if let embedding = unit.embeddings[digest] { embeddings.insert(embedding) }
            }
        }
        let ids = (0..<UInt64(units.count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(units.count)
        feed(
            .submitted(
                ids,
                costs: units.map { $0.cost(job.model) },
                kind: units.first?.kind ?? .views
            )
        )
    }

    /// Ends the batches of a job.
    ///
    /// - Parameters:
    ///   - job: whose batches end
    ///   - error: for whoever waits for them; nil where nobody does
    private func drop(_ job: UInt64, because error: (any Error)? = nil) {
        if let error {
            for batch in waiting where batch.job == job { batch.reports.put(.failed(error)) }
        }
        waiting.removeAll { $0.job == job }
        guard let running = batch, running.job.message.id == job else { return }
        if let error { running.reports.put(.failed(error)) }
        batch = nil
        feed(.cancelled)
        beginNext()
    }

    private func fail(_ error: any Error) {
        batch?.reports.put(.failed(error))
        batch = nil
        beginNext()
    }

    // MARK: - The dispatcher

    /// An event for the dispatcher, and the answer that came with it.
    private struct Input {
        let event: DispatcherState.Event
        /// For an answered unit: the result, and the worker's index on the board.
        var answer: (result: WorkResult, place: Int)?
    }

    private func feed(_ event: DispatcherState.Event, answer: (WorkResult, Int)? = nil) {
        inputs.append(Input(event: event, answer: answer))
        guard !isFeeding else { return }
        isFeeding = true
        while !inputs.isEmpty {
            let input = inputs.removeFirst()
            for action in state.handle(input.event, at: start.duration(to: .now)) {
                perform(action, input)
            }
        }
        isFeeding = false
    }

    private func perform(_ action: DispatcherState.Action, _ input: Input) {
        switch action {
        case .assign(let unit, let worker, let attempt): assign(unit, to: worker, attempt)
        case .accept(let unit): accept(unit, input)
        case .abandon(let unit, let worker):
            if let peer = roster[worker] { send(.abandon([unit]), to: peer) }
        case .evict(let worker):
            guard let peer = roster[worker] else { break }
            send(.goodbye(.unknown), to: peer)
            forget(peer, "\(WorkerLoss.silent)")
        case .doubt(let worker):
            guard let peer = roster[worker] else { break }
            lastLoss = "\(peer.hello.name) has not answered in time"
            logger.notice("worker late", metadata: peer.metadata)
        case .setAside(let worker):
            guard let peer = roster[worker] else { break }
            board.update(peer.place) { $0.isActive = false }
            lastLoss = "\(peer.hello.name) was set aside after bad answers or none"
            logger.warning("worker set aside", metadata: peer.metadata)
        case .expel(let worker, let unit):
            guard let peer = roster[worker] else { break }
            logger.info(
                "unasked answer",
                metadata: peer.metadata.merging(["unit": "\(unit)"]) { $1 }
            )
            expel(peer, "answered what it was not asked")
        case .rest(let worker, let time):
            guard let peer = roster[worker] else { break }
            lastLoss = "\(peer.hello.name) failed repeatedly and rests"
            warn("worker \(peer.hello.name) rests: its host failed repeatedly (\(peer.host))")
            logger.info(
                "worker rests",
                metadata: peer.metadata.merging(["milliseconds": "\(time.milliseconds)"]) { $1 }
            )
        case .complete:
            batch?.reports.put(.complete)
            batch = nil
            beginNext()
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
        let loss = lastLoss.map { ": \($0.withoutFullStop)" } ?? ""
        return "no worker is left\(waited)\(loss). Look at the workers' messages, start workers "
            + "that connect to \(endpoint), and render again"
    }

    private func assign(_ unit: UnitID, to worker: WorkerID, _ attempt: Int) {
        // Gone while this was decided: its loss is the next event.
        guard let peer = roster[worker] else { return }
        guard let job = batch?.job.message, let request = batch?.request(unit) else {
            preconditionFailure("\(unit) for \(worker) is unknown\n\(state.story)")
        }
        if attempt > 1 {
            logger.info(
                "unit tried again",
                metadata: peer.metadata.merging(
                    ["unit": "\(request.name)", "attempt": "\(attempt)"]) { $1 }
            )
        }
        if roster.announce(job.id, to: worker) { send(.job(job), to: peer) }
        send(
            .task(.init(id: unit, job: job.id, unit: request, wire: job.wire)),
            to: peer
        )
    }

    private func accept(_ unit: UnitID, _ input: Input) {
        guard let (result, worker) = input.answer, let request = batch?.request(unit) else {
            preconditionFailure("\(unit) is accepted without an answer\n\(state.story)")
        }
        // A view that two share counts for the one that completes it.
        guard let (place, whole) = batch?.take(result, for: unit) else { return }
        board.update(worker) { statistics in
            if request.kind == .tiles { statistics.tiles += 1 } else { statistics.views += 1 }
        }
        batch?.reports.put(.done(place, whole))
    }

    // MARK: - Workers

    private func receive() throws {
        // Bounded, so that a flood cannot keep the thread from its other duties.
        for _ in 0..<1024 {
            let (arrival, origin) = try socket.receive { roster[$0] != nil }
            switch arrival {
            case .nothing: return
            case .oversized(let id): reject(id, FrameError.frameCount(FrameLimits().frames + 1))
            case .message(let frames): receive(frames, from: origin)
            }
        }
        mailbox.wakeup.signal()
    }

    /// Takes a message. Its origin is told unless its sender is in.
    private func receive(_ frames: [[UInt8]], from origin: Origin) {
        let (id, body) = (frames[0], Array(frames.dropFirst()))
        let now = start.duration(to: .now)
        guard let peer = roster[id] else {
            // Who was turned out may not use up what strangers may send.
            guard isAllowed(origin) else {
                dropped += 1
                return hangUp(on: origin)
            }
            guard strangers[origin.key, default: .strangers].admits(at: now) else {
                dropped += 1
                return
            }
            return greet(id, body, from: origin)
        }
        guard roster.hears(peer.worker, at: now) else { return reject(id, .tooOften) }
        do throws(FrameError) {
            handle(try WorkerMessage(frames: body), from: peer)
        } catch {
            reject(id, error)
        }
    }

    /// A message from somebody unknown: only an introduction is read, and it is small.
    private func greet(_ id: [UInt8], _ frames: [[UInt8]], from origin: Origin) {
        guard frames.count == 1, frames[0].count <= 4096,
            let message = try? WorkerMessage(frames: frames)
        else {
            dropped += 1
            return
        }
        switch message {
        case .hello(let hello): admit(hello, id, from: origin)
        case .heartbeat, .ask:
            // It believes to be in: it was given up, or another coordinator had its place.
            send(.goodbye(.unknown), to: id)
        case .wanted, .answer, .failure, .goodbye:
            dropped += 1
        }
    }

    private func admit(_ hello: WorkerMessage.Hello, _ id: [UInt8], from origin: Origin) {
        if let refusal = Handshake.refusal(of: hello, by: configuration.model) {
            warn("worker refused: \(refusal.reason)")
            lastLoss = "\(hello.name) was refused: \(refusal.reason)"
            send(.refusal(refusal), to: id)
            return
        }
        let peer = roster.add(hello, id, place: board.enter(hello), from: origin)
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
        feed(.joined(peer.worker, from: peer.host))
    }

    private func handle(_ message: WorkerMessage, from peer: Roster.Peer) {
        board.update(peer.place) { $0.lastHeard = Date() }
        switch message {
        // A worker begins anew on another connection.
        case .hello: reject(peer.id, .repeatedHello)
        case .ask(let units): feed(.asked(peer.worker, units))
        case .wanted(let digests):
            feed(.heard(peer.worker))
            for digest in digests.prefix(PicturePart.maxAttention) {
                let named = batch?.units.lazy.compactMap { $0.embeddings[digest] }.first
                if let embedding = embeddings.find(digest) ?? named {
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
        guard let request = batch?.request(answer.unit), let model = batch?.job.model else {
            // Of a batch that is over, or never given: the dispatcher knows.
            return feed(.answered(answer.unit, by: peer.worker))
        }
        if answer.result.tensor != nil, let job = batch?.job.message, answer.wire != job.wire {
            return reject(peer.id, .field("answer: the job's element type"))
        }
        if let fault = request.fault(of: answer.result, model) {
            return refuse(answer.unit, fault, peer)
        }
        let spent = Duration.microseconds(Int64(clamping: answer.microseconds))
        board.update(peer.place) { $0.busy += min(spent, .seconds(86_400)) }
        feed(
            .answered(answer.unit, by: peer.worker, spent: spent),
            answer: (answer.result, peer.place)
        )
    }

    private func refuse(_ unit: UnitID, _ reason: String, _ peer: Roster.Peer) {
        warn("worker \(peer.hello.name): answer refused: \(reason)")
        logger.info(
            "answer refused",
            metadata: peer.metadata.merging(["reason": "\(reason)", "unit": "\(unit)"]) { $1 }
        )
        feed(.refused(unit, by: peer.worker, reason: reason))
    }

    private func lose(_ peer: Roster.Peer, _ loss: WorkerLoss, account: String? = nil) {
        forget(peer, "\(loss)", account: account)
        feed(.lost(peer.worker, loss))
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
        warn("worker \(peer.hello.name): malformed message: \(error)")
        send(.goodbye(.unknown), to: peer)
        lose(peer, .vanished)
    }

    /// Ends the membership of somebody who broke the rules, and the connection with it.
    private func expel(_ peer: Roster.Peer, _ reason: String) {
        warn("worker \(peer.hello.name) \(reason): its connection is closed")
        forget(peer, reason)
        hangUp(on: peer.origin)
    }

    /// Says what a hostile worker may cause again and again.
    private func warn(_ line: String) { doorkeeper.say(line, at: start.duration(to: .now), logger) }

    private func hangUp(on origin: Origin) {
        if let connection = origin.connection { socket.hangUp(connection) }
    }

    private func isAllowed(_ origin: Origin) -> Bool {
        guard let allowed = socket.allowedKeys() else { return true }
        return origin.key.map(allowed.contains) ?? false
    }

    /// Turns out workers whose keys were taken off the list since they joined. Nobody is blamed for what they
    /// held.
    private func turnOut() {
        guard let allowed = socket.allowedKeys() else { return }
        for peer in roster.all where peer.origin.key.map(allowed.contains) != true {
            expel(peer, "was turned out: its key was taken off the list (--allow)")
            feed(.lost(peer.worker, .left))
        }
    }

    private func beat() {
        guard lastHeartbeat.duration(to: .now) >= configuration.heartbeat else { return }
        lastHeartbeat = .now
        turnOut()
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

import Engine
import Foundation
import Logging
import Protocol

/// The coordinator's thread: carries messages between the socket, the dispatcher and the render thread. It makes no
/// decisions.
final class ClusterShell {
    let endpoint: Endpoint

    let configuration: Cluster.Configuration
    let mailbox: Mailbox<ClusterCommand>
    let board: ClusterBoard
    let logger: Logger
    let socket: Socket
    let start = ContinuousClock.now

    var state: DispatcherState
    var inputs: [Input] = []
    var isFeeding = false

    var roster = Roster()
    var batch: RunningBatch?
    var nextUnit: UInt64 = 1
    var jobs: [UInt64: OpenJob] = [:]
    /// Batches that wait for the running one: those of other jobs, or the next step of the same job.
    var waiting: [(request: BatchRequest, job: UInt64, reports: BlockingQueue<BatchReport>)] =
        []
    /// Decides whose batch is next.
    var turns = BatchTurns()
    /// Embeddings of the last batches: a worker may ask for them after these are done.
    var embeddings = EmbeddingCache()
    var isStopping = false
    /// What last happened to a worker, for error messages.
    var lastLoss: String?
    var lastHeartbeat = ContinuousClock.now
    var dropped = 0
    var rejectionLog = RejectionLog()
    /// Backends and precisions of the workers that have joined.
    var computations: [String] = []
    /// Names of workers that fell silent and have not come back.
    var lost: Set<String> = []
    /// Names of workers whose problem the user was told about.
    var explained: Set<String> = []
    var silentConnections = SilentConnections()
    /// When each connected worker was first given work.
    var firstTask: [WorkerID: Duration] = [:]
    /// Workers whose answers were refused.
    var refused: Set<WorkerID> = []
    var registrar: Registrar
    /// Connections of workers that were told that they are removed; closed at the next heartbeat.
    var leaving: Set<Connection> = []
    /// Sends files to workers that lack them; created when the first one asks.
    var modelServer: ModelServer?
    var fetched: [PublicKey: Fetched] = [:]
    /// Data that peers have not read yet.
    var outboxes = Outboxes()
    var lastSweep = ContinuousClock.now
    /// Which machines may fetch from which workers, and what workers were told about that.
    var neighbourhood = Neighbourhood()
    var admitted: [WorkerID: Set<PublicKey>] = [:]
    var relays = RelayBook()
    /// Unanswered questions to workers, by number.
    var probes: [UInt64: RunningProbe] = [:]
    /// Damaged messages from and to workers since their last intact answer.
    var damagedInRow: [WorkerID: Int] = [:]
    var speedWatch = SpeedWatch()
    /// Rate limits by key, so that an allowed peer cannot keep the others out; the key is nil if there are no keys.
    var unidentifiedPeers: [PublicKey?: RateLimit] = [:]

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
        registrar = Registrar(configuration.joined)
        socket = try Socket(.router, in: SocketContext(), security: configuration.security)
        endpoint = try socket.bind(configuration.endpoint)
    }

    /// Runs until it is told to stop.
    ///
    /// - Throws: `SocketError` if the socket itself fails
    func run() throws {
        // Also ends the batch if the socket fails.
        defer {
            modelServer?.stop()
            let error = ClusterUnavailable("the cluster was stopped")
            for probe in probes.values { probe.reply.put(.failed("\(error)")) }
            for batch in waiting { batch.reports.put(.failed(error)) }
            waiting = []
            fail(error)
        }
        let pause = min(configuration.heartbeat, .milliseconds(250))
        while !isStopping {
            // Late workers are found on ticks.
            let tick: Duration =
                turns.isHolding
                ? .milliseconds(2) : state.isBusy ? min(pause, .milliseconds(50)) : pause
            try socket.wait(mailbox.wakeup, for: tick)
            // Before the messages: a new connection must be recorded when its first message is read.
            let rejections = try noteConnections()
            try receive()
            for command in mailbox.take() { handle(command) }
            modelServer?.note(isBusy: state.isBusy)
            feed(.tick)
            if turns.isHolding { beginNext() }
            publishQueue()
            beat()
            warn(of: rejections)
        }
        warnOfMuteWorkers()
        for peer in roster.all { send(.goodbye(.leaving), to: peer) }
        if dropped > 0 {
            logger.info(
                "dropped messages of unidentified peers",
                metadata: ["count": "\(dropped)"]
            )
        }
    }

    /// An event for the dispatcher, and the answer that came with it.
    struct Input {
        let event: DispatcherState.Event
        /// Result of an answered unit, and who sent it.
        var answer: (result: WorkResult, peer: Roster.Peer)?
    }

    func send(_ message: CoordinatorMessage, to peer: Roster.Peer) {
        guard roster[peer.worker] != nil else { return }
        let frames = message.frames
        board.update(peer.place) { $0.sent += frames.reduce(0) { $0 + $1.count } }
        switch (send(frames, to: peer.id), message) {
        case (.sent, _), (.full, .heartbeat): break
        case (.full, _), (.unreachable, _): lose(peer, .vanished)
        }
    }

    @discardableResult
    func send(_ message: CoordinatorMessage, to id: [UInt8]) -> Delivery {
        send(message.frames, to: id)
    }

    private func send(_ frames: [[UInt8]], to id: [UInt8]) -> Delivery {
        do {
            let delivery = try socket.send([id] + frames)
            if delivery == .sent {
                outboxes.sent(frames.reduce(0) { $0 + $1.count }, to: id)
            }
            return delivery
        } catch {
            logger.error("send failed", metadata: ["problem": "\(error)"])
            return .unreachable
        }
    }
}

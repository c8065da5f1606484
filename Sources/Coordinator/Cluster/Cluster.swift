import Engine
import Logging
import Protocol
import Sampling
import Synchronization

/// Workers that connect to an endpoint, and the thread that owns the coordinator's socket.
///
///     let cluster = try Cluster(configuration, logger: logger)
///     defer { cluster.stop() }
///     let job = cluster.open(geometry)
///     defer { job.end() }
///     let results = try job.evaluate(units) { _ in }
package final class Cluster: Sendable {
    package struct Configuration: Sendable {
        /// Where to listen; port 0 lets the system choose.
        package var endpoint: Endpoint
        /// What workers must have in order to join.
        package var required: WorkerRequirements
        /// Names of the workers that may join; nil for all.
        package var selected: Set<String>?
        package var policy = DispatcherState.Policy()
        /// Heartbeat interval, for both sides.
        package var heartbeat: Duration = .milliseconds(500)
        /// Which peers may connect, and how they authenticate.
        package var security = Security.open
        /// Where machines that join by invitation are listed, as in `security`.
        package var joined: JoinFolder? {
            if case .coordinator(_, let allowed) = security { allowed.joined } else { nil }
        }
        /// How long to wait for an explanation of a connection that does not identify itself: whoever started the
        /// workers may name the host that it comes from (`explain`).
        package var patienceWithUnknown: Duration = .zero

        package init(endpoint: Endpoint, model: ModelIdentity) {
            self.endpoint = endpoint
            required = WorkerRequirements(model: model)
        }
    }

    /// The endpoint it listens on, with the chosen port.
    package let endpoint: Endpoint

    /// What it requires of workers.
    package let required: WorkerRequirements

    private let mailbox: Mailbox<ClusterCommand>
    private let board = ClusterBoard()
    private let thread: NamedThread
    private let lastJob = Atomic<UInt64>(0)
    private let isStopped = Atomic<Bool>(false)

    /// Starts listening.
    ///
    /// - Throws: `InputError` if the endpoint cannot be listened on, `SocketError`
    package init(_ configuration: Configuration, logger: Logger) throws {
        let mailbox = try Mailbox<ClusterCommand>()
        let bound = BlockingQueue<Result<Endpoint, any Error>>()
        let board = board
        thread = NamedThread("coordinator") {
            do {
                let service = try ClusterShell(configuration, mailbox, board, logger)
                bound.put(.success(service.endpoint))
                try service.run()
                board.end(mailbox, because: ClusterUnavailable("the cluster was stopped"))
            } catch {
                bound.put(.failure(error))
                board.end(mailbox, because: error)
            }
        }
        self.mailbox = mailbox
        required = configuration.required
        endpoint = try bound.take().get()
    }

    deinit { stop() }

    /// Opens a job for a render. Several jobs may be open; their batches take turns (`BatchTurns`).
    ///
    /// - Parameters:
    ///   - model: the model's geometry, to check answers
    ///   - wire: the precision in which latents and results are sent
    ///   - weight: its share of the workers relative to other jobs
    /// - Returns: a renderer that evaluates units until it is ended
    package func open(
        _ model: ModelGeometry,
        wire: WireFormat = .f32,
        weight: Double = 1
    ) -> ClusterJob {
        let id = lastJob.add(1, ordering: .relaxed).newValue
        mailbox.post(
            .open(OpenJob(message: .init(id: id, wire: wire), model: model, weight: weight))
        )
        return ClusterJob(id: id, mailbox: mailbox, board: board)
    }

    /// Says goodbye to all workers and closes the socket. Further calls do nothing.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        mailbox.post(.stop)
        thread.join()
    }

    /// Each worker's statistics so far, in the order in which they first joined.
    package var statistics: [WorkerStatistics] { board.statistics }

    /// Asks one worker something, or gives it a unit, bypassing the dispatcher; for cluster tests while no render runs.
    ///
    /// - Returns: a queue that receives exactly one reply
    package func probe(_ worker: String, _ question: ProbeQuestion) -> BlockingQueue<ProbeReply> {
        let reply = BlockingQueue<ProbeReply>()
        let request = ProbeRequest(worker: worker, question: question, reply: reply)
        do {
            try board.post(.probe(request), to: mailbox)
        } catch {
            reply.put(.failed("\(error)"))
        }
        return reply
    }

    /// Units that wait or are being computed.
    package var unitsLeft: Int { board.unitsLeft }

    /// Who computes the views that are being evaluated, by their index in the request.
    package var assignments: [Int: ViewAssignment] { board.assignments }

    /// Workers that may not join as they are, by name.
    package var refused: [String: RefusedWorker] { board.refused }
    /// Keys of machines that are fetching or loading the model, and will join when they are done. Machines that have
    /// not been heard from for two minutes are not included.
    package var preparing: Set<PublicKey> { board.preparing }

    /// Reports that the process of a worker on this host has ended, which ends its connection too.
    ///
    /// - Parameters:
    ///   - name: the worker's name
    ///   - process: its process id
    ///   - account: how it ended, for the error if no worker is left
    package func processEnded(_ name: String, process: Int32, account: String) {
        mailbox.post(.processEnded(name: name, process: process, account: account))
    }

    /// Reports that the user was told what is wrong with a worker, so that it is not reported again in other words.
    ///
    /// - Parameter name: the worker's name
    package func explain(_ name: String) { mailbox.post(.explained(name: name)) }

    /// Reports that no more workers will join: when the last one is gone, calls fail at once.
    package func expectNoMoreWorkers() { mailbox.post(.closed) }
}

import Engine
import Foundation
import Logging
import Protocol
import Synchronization

/// A worker: requests units from a coordinator, computes them and sends the answers.
///
/// `run()` owns the socket, on the thread that calls it. Units are computed on a separate thread, so that heartbeats
/// continue while a long one is computed.
///
///     let endpoint = try Endpoint(connect)
///     if isLocalChild { Lifeline.watchStandardInput(endpoint: endpoint) }  // before anything else
///     let model = try Model(path: path)
///     let networks = LoadedNetworks(model, identity: try ModelIdentity(of: model), options: engine)
///     var options = WorkerProcess.Options(endpoint: endpoint, name: name)
///     options.isLocalChild = isLocalChild
///     let worker = try WorkerProcess(Evaluator(networks), options: options, logger: logger)
///     Interrupts.handle { worker.stop() }
///     try worker.run()
package final class WorkerProcess: Sendable {
    package struct Options: Sendable {
        package var endpoint: Endpoint
        /// The worker's name, to be shown to people.
        package var name: String
        /// Whether the coordinator started this process, which then exits when the coordinator does.
        package var isLocalChild = false
        /// Maximum number of units to hold at once, including the one being computed. The coordinator sends only as
        /// many as are needed to hide the round-trip latency.
        package var credit = 16
        /// Whether the process does nothing else. Then stopping exits the process instead of waiting for the units that
        /// are being computed.
        package var ownsProcess = true
        /// The worker's keys, and the coordinator's public key.
        package var security = Security.open
        /// Whether the worker's key was added to the coordinator's list by an invitation.
        package var isInvited = false
        /// Switches to the networks that a coordinator requires. With it the worker stays after a refusal; without it
        /// the worker ends.
        package var changes: (any NetworkChanges)?
        /// Sends the model to other machines on this network; nil to send nothing.
        package var neighbours: NeighbourServer?
        /// Approximate pause between two connections while the worker is refused.
        package var refusedPause: Duration = .seconds(5)

        /// - Parameters:
        ///   - endpoint: the coordinator's endpoint
        ///   - name: nil to use the host name and the pid
        package init(endpoint: Endpoint, name: String? = nil) {
            self.endpoint = endpoint
            self.name = name ?? "\(Self.hostName)-\(getpid())"
        }

        package static var hostName: String {
            var buffer = [CChar](repeating: 0, count: 256)
            guard gethostname(&buffer, buffer.count - 1) == 0 else { return "worker" }
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private let first: Evaluator
    private let options: Options
    private let logger: Logger
    private let mailbox: Mailbox<WorkerNote>
    private let isStopping = Atomic(false)

    /// - Throws: `SocketError`
    package init(_ evaluator: Evaluator, options: Options, logger: Logger) throws {
        first = evaluator
        self.options = options
        self.logger = logger
        mailbox = try Mailbox()
    }

    /// Makes `run()` return, after saying goodbye to the coordinator. May be called from any thread.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        mailbox.post(.stop)
    }

    /// Serves until it is stopped, or dismissed by the coordinator that started it. Call once, on a thread that may
    /// block.
    ///
    /// - Throws: `InputError` if the coordinator refuses this worker and the worker cannot change, or if the endpoint
    ///   is unusable; `SocketError`
    package func run() throws {
        var evaluator = first
        // Lost connections are handled within a session; only a change of networks ends a session and begins another.
        var obstacle: WorkerMessage.Obstacle?
        while !isStopped {
            let networks = evaluator.networks
            switch try serve(evaluator, obstacle) {
            case .stopped, .dismissed: return
            case .disconnected:
                obstacle = nil
                guard let restored = options.changes?.restored(networks) else { break }
                evaluator = Evaluator(restored)
                continue
            case .refused(let refusal):
                guard let changes = options.changes else {
                    throw InputError(
                        options.endpoint.address,
                        "the coordinator refused this worker: \(refusal.reason)",
                        fix: "Start it with the coordinator's model and version of Tessera"
                    )
                }
                if obstacle == nil { logger.notice("refused: \(refusal.reason)") }
                switch change(networks, to: refusal, changes) {
                case .success(let changed):
                    (evaluator, obstacle) = (Evaluator(changed), nil)
                    continue
                case .failure(let error):
                    if obstacle?.reason != error.reason { logger.warning("\(error.reason)") }
                    obstacle = WorkerMessage.Obstacle(
                        requirements: refusal.required.summary,
                        reason: error.reason
                    )
                case nil: return
                }
            }
            guard wait(options.refusedPause * Double.random(in: 0.5...1)) else { return }
        }
    }

    private struct ChangeFailed: Error {
        let reason: String
    }

    /// Changes to the required networks on a separate thread, so that the worker can be stopped meanwhile.
    ///
    /// - Returns: nil if the worker was stopped
    private func change(
        _ networks: any ModelNetworks,
        to refusal: CoordinatorMessage.Refusal,
        _ changes: any NetworkChanges
    ) -> Result<any ModelNetworks, ChangeFailed>? {
        guard protocolVersions.contains(refusal.version) else {
            return .failure(ChangeFailed(reason: refusal.reason))
        }
        let result = BlockingQueue<Result<any ModelNetworks, ChangeFailed>>()
        let thread = NamedThread("change", stack: 64 << 20) {
            do {
                result.put(.success(try changes.networks(networks, for: refusal.required)))
            } catch {
                result.put(.failure(ChangeFailed(reason: "\(error)")))
            }
        }
        while true {
            if let changed = result.take(before: .now + .milliseconds(100)) {
                thread.join()
                return changed
            }
            if isStopped {
                if !options.ownsProcess { thread.join() }
                return nil
            }
        }
    }

    /// - Returns: false if the worker was stopped meanwhile
    private func wait(_ pause: Duration) -> Bool {
        let end = ContinuousClock.now + pause
        while ContinuousClock.now < end {
            if isStopped { return false }
            mailbox.wakeup.wait(for: ContinuousClock.now.duration(to: end))
        }
        return !isStopped
    }

    /// Whether the worker was stopped. If a session ends for another reason at that moment, it takes the `.stop` note
    /// and ignores it.
    private var isStopped: Bool {
        // Notes that a session left behind must not wake `wait` again.
        _ = mailbox.take()
        return isStopping.load(ordering: .acquiring)
    }

    /// Runs one session, with the same networks throughout.
    private func serve(
        _ evaluator: Evaluator,
        _ obstacle: WorkerMessage.Obstacle?
    ) throws -> WorkerSessionState.Ending {
        let units = BlockingQueue<Computation?>()
        let thread = NamedThread("compute", stack: 64 << 20) { [mailbox] in
            ComputePipeline(evaluator, units: units, post: mailbox.post).run()
        }
        options.neighbours?.offer(evaluator.networks)
        var hello = hello(evaluator.networks)
        hello.obstacle = obstacle
        let session = WorkerSessionShell(
            options: options,
            hello: hello,
            batches: BatchSizes(
                limit: evaluator.networks.batchRows / 2,
                isMeasured: evaluator.networks.mayGainFromBatches
            ),
            depth: evaluator.networks.isAsynchronous ? 2 : 1,
            endsWithConnection: options.changes?.isTemporary(evaluator.networks) ?? false,
            mailbox: mailbox,
            units: units,
            logger: logger
        )
        let ending: WorkerSessionState.Ending
        do {
            ending = try session.run()
        } catch {
            units.put(nil)
            throw error
        }
        if let loss = session.deviceLoss {
            units.put(nil)
            throw loss
        }
        if session.isComputing {
            switch ending {
            case .stopped, .dismissed, .refused: if options.ownsProcess { _exit(0) }
            case .disconnected: session.cancel()
            }
        }
        units.put(nil)
        thread.join()
        return ending
    }

    private func hello(_ networks: any ModelNetworks) -> WorkerMessage.Hello {
        var hello = WorkerMessage.Hello(
            name: options.name,
            model: networks.identity,
            threads: networks.threads,
            processor: networks.device ?? Processor.description,
            backend: networks.backend,
            precision: networks.precision,
            processID: getpid()
        )
        hello.adapts = options.changes != nil
        hello.share = options.neighbours?.share
        hello.packs = true
        return hello
    }
}

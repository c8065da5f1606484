import Engine
import Foundation
import Logging
import Protocol

/// A worker: asks a coordinator for units, computes them and answers.
///
/// `run()` owns the socket on the thread that calls it; units are computed on a thread of their own,
/// so that heartbeats flow during long ones.
///
///     let endpoint = try Endpoint(connect)
///     if isLocalChild { Lifeline.watchStandardInput(endpoint: endpoint) }  // first of all
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
        /// The worker's name, for people.
        package var name: String
        /// Whether the coordinator started this process: then it exits when the coordinator does.
        package var isLocalChild = false
        /// Maximum units to hold at once, including the one being computed. The coordinator gives only as
        /// many of them as hide the round trip.
        package var credit = 16
        /// Whether the process does nothing else: then a unit that is being computed when the worker
        /// stops is not waited for, but ends with the process.
        package var ownsProcess = true
        /// Its keys, and the coordinator's.
        package var security = Security.open

        /// - Parameters:
        ///   - endpoint: the coordinator's
        ///   - name: nil makes one from the host name and the pid
        package init(endpoint: Endpoint, name: String? = nil) {
            self.endpoint = endpoint
            self.name = name ?? "\(Self.hostName)-\(getpid())"
        }

        private static var hostName: String {
            var buffer = [CChar](repeating: 0, count: 256)
            guard gethostname(&buffer, buffer.count - 1) == 0 else { return "worker" }
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private let evaluator: Evaluator
    private let options: Options
    private let logger: Logger
    private let mailbox: Mailbox<WorkerNote>

    /// - Throws: `SocketError`
    package init(_ evaluator: Evaluator, options: Options, logger: Logger) throws {
        self.evaluator = evaluator
        self.options = options
        self.logger = logger
        mailbox = try Mailbox()
    }

    /// Ends `run()` from any thread, after saying goodbye to the coordinator.
    package func stop() { mailbox.post(.stop) }

    /// Serves until it is stopped, or dismissed by the coordinator that started it. Call once, on a
    /// thread that may block.
    ///
    /// - Throws: `InputError` if the coordinator refuses this worker or the endpoint is unusable,
    ///   `SocketError`
    package func run() throws {
        let units = BlockingQueue<Computation?>()
        let thread = NamedThread("compute", stack: 64 << 20) { [evaluator, mailbox] in
            while let (id, unit, cancellation) = units.take() {
                mailbox.post(Self.compute(id, unit, with: evaluator, cancellation))
            }
        }
        let session = WorkerSessionShell(
            options: options,
            hello: hello,
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
        if options.ownsProcess, session.isComputing { _exit(0) }
        units.put(nil)
        thread.join()
        if case .refused(let refusal) = ending {
            throw InputError(
                options.endpoint.address,
                "the coordinator refused this worker: \(refusal.reason)",
                fix: "Start it with the coordinator's model and version of Tessera"
            )
        }
    }

    private var hello: WorkerMessage.Hello {
        WorkerMessage.Hello(
            name: options.name,
            model: evaluator.networks.identity,
            threads: evaluator.networks.threads,
            processor: Processor.description,
            backend: evaluator.networks.backend,
            precision: evaluator.networks.precision,
            processID: getpid()
        )
    }

    private static func compute(
        _ id: UnitID,
        _ unit: WorkUnit,
        with evaluator: Evaluator,
        _ cancellation: Cancellation
    ) -> WorkerNote {
        let began = ContinuousClock.now
        let result: Result<WorkResult, ComputeError>
        do {
            result = .success(try evaluator.evaluate([unit], cancellation: cancellation)[0])
        } catch is ComputationCancelled {
            result = .failure(.cancelled)
        } catch is TileNotKept {
            result = .failure(.missing)
        } catch {
            result = .failure(.failed("\(error)"))
        }
        let spent = began.duration(to: .now).components
        let microseconds = spent.seconds * 1_000_000 + spent.attoseconds / 1_000_000_000_000
        return .finished(id, microseconds: UInt64(max(0, microseconds)), result)
    }
}

/// A unit for the computing thread, and its cancellation.
typealias Computation = (id: UnitID, unit: WorkUnit, cancellation: Cancellation)

/// Messages of other threads to the thread of the worker's socket.
enum WorkerNote: Sendable {
    case finished(UnitID, microseconds: UInt64, Result<WorkResult, ComputeError>)
    case stop
}

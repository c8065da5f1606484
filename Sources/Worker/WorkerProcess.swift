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
///     let host = try EngineModelHost(model: Model(path: path), options: engine)
///     var options = WorkerProcess.Options(endpoint: endpoint, name: name)
///     options.isLocalChild = isLocalChild
///     let worker = try WorkerProcess(host: host, options: options, logger: logger)
///     Interrupts.handle { worker.stop() }
///     try worker.run()
package final class WorkerProcess: Sendable {
    package struct Options: Sendable {
        package var endpoint: Endpoint
        /// How people call this worker.
        package var name: String
        /// Whether the coordinator started this process: then it ends when the coordinator does.
        package var isLocalChild = false
        /// Most units to hold at once, the one that is computed included. The coordinator gives as
        /// many of them as hide the round trip.
        package var credit = 16
        /// Whether this is all the process does: then a unit that is being computed when the worker
        /// ends is not waited for, but ends with the process.
        package var ownsProcess = true
        /// What it shows, and whom it speaks to.
        package var security = Security.open

        /// - Parameters:
        ///   - endpoint: the coordinator's
        ///   - name: nil makes one of the host's name and the process id
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

    private let host: any ModelHost
    private let options: Options
    private let logger: Logger
    private let mailbox: Mailbox<WorkerNote>

    /// - Throws: `SocketError`
    package init(host: any ModelHost, options: Options, logger: Logger) throws {
        self.host = host
        self.options = options
        self.logger = logger
        mailbox = try Mailbox()
    }

    /// Ends `run()` from any thread, after a goodbye to the coordinator.
    package func stop() { mailbox.post(.stop) }

    /// Serves until it is stopped, or dismissed by the coordinator that started it. Call once, on a
    /// thread that may block.
    ///
    /// - Throws: `InputError` if the coordinator refuses this worker or the endpoint is unusable,
    ///   `SocketError`
    package func run() throws {
        let units = HandOver<WorkOrder?>()
        let thread = NamedThread("compute", stack: 64 << 20) { [host, mailbox] in
            let runner = UnitRunner(host: host)
            while let order = units.take() {
                mailbox.post(Self.compute(order, with: runner))
            }
        }
        let session = WorkerSession(
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
            model: host.identity,
            threads: host.threads,
            processor: Processor.description,
            backend: host.backend,
            precision: host.precision,
            processID: getpid()
        )
    }

    private static func compute(_ order: WorkOrder, with runner: UnitRunner) -> WorkerNote {
        let began = ContinuousClock.now
        let result: Result<PartResult, ComputeError>
        do {
            result = .success(
                try runner.run(order.assignment, cancellation: order.cancellation)
            )
        } catch is ComputationCancelled {
            result = .failure(.cancelled)
        } catch {
            result = .failure(.failed("\(error)"))
        }
        let spent = began.duration(to: .now).components
        let microseconds = spent.seconds * 1_000_000 + spent.attoseconds / 1_000_000_000_000
        return .finished(
            order.assignment.task.unit,
            microseconds: UInt64(max(0, microseconds)),
            result
        )
    }
}

/// A unit for the computing thread.
struct WorkOrder: Sendable {
    let assignment: Assignment
    let cancellation: Cancellation
}

/// What other threads tell the thread of the worker's socket.
enum WorkerNote: Sendable {
    case finished(UnitID, microseconds: UInt64, Result<PartResult, ComputeError>)
    case stop
}

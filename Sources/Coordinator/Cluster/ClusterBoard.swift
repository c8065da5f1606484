import Engine
import Protocol
import Synchronization

/// State shared between the coordinator's thread and the others.
final class ClusterBoard: Sendable {
    private let workers = Mutex<[WorkerStatistics]>([])
    private let refusals = Mutex<[String: RefusedWorker]>([:])
    /// Assignments of the views that are being evaluated, by their index in the request.
    private let views = Mutex<[Int: ViewAssignment]>([:])
    private let machines = Mutex(PreparingMachines())
    private let queue = Mutex(0)
    /// Why the thread has ended.
    private let ending = Mutex<(any Error)?>(nil)

    /// Number of entries that are kept in any case.
    private static let capacity = 1024

    var statistics: [WorkerStatistics] { workers.withLock { $0 } }
    var refused: [String: RefusedWorker] { refusals.withLock { $0 } }

    /// Keys of machines that are fetching or loading the model.
    var preparing: Set<PublicKey> { machines.withLock { $0.keys(at: .now) } }
    func note(preparing key: PublicKey) { machines.withLock { $0.note(key, at: .now) } }
    func note(prepared key: PublicKey) { machines.withLock { $0.remove(key) } }

    /// Records that a worker was refused, or that it may join after all.
    func refuse(_ name: String, _ refused: RefusedWorker?) {
        refusals.withLock { refusals in
            guard refused == nil || refusals.count < Self.capacity || refusals[name] != nil else {
                return
            }
            refusals[name] = refused
        }
    }

    /// Registers a worker that joins; one that returns under its name continues its entry. If there are many entries,
    /// those of workers that left without having done anything are reused.
    ///
    /// - Returns: the entry's index
    func enter(_ hello: WorkerMessage.Hello, _ key: PublicKey?) -> Int {
        workers.withLock { workers in
            // With another backend or precision it is another worker, under the old one's name.
            let known = workers.firstIndex {
                $0.name == hello.name && !$0.isActive && $0.backend == hello.backend
                    && $0.precision == hello.precision
            }
            let idle =
                known == nil && workers.count >= Self.capacity
                ? workers.firstIndex { !$0.isActive && $0.views + $0.tiles == 0 } : nil
            let place = known ?? idle ?? workers.count
            var entry = WorkerStatistics(
                name: hello.name,
                key: key,
                processor: hello.processor,
                threads: hello.threads,
                backend: hello.backend,
                precision: hello.precision,
                model: hello.model.path,
                isActive: true
            )
            entry.version = Handshake.version(of: hello)
            entry.process = hello.processID
            if let known {
                workers[known].isActive = true
                workers[known].model = entry.model
                workers[known].key = key
                (workers[known].version, workers[known].process) = (entry.version, entry.process)
            } else if let idle {
                workers[idle] = entry
            } else {
                workers.append(entry)
            }
            return place
        }
    }

    func update(_ place: Int, _ change: (inout WorkerStatistics) -> Void) {
        workers.withLock { change(&$0[place]) }
    }

    /// Units without an answer.
    var unitsLeft: Int { queue.withLock { $0 } }
    func setQueue(_ units: Int) { queue.withLock { $0 = units } }

    var assignments: [Int: ViewAssignment] { views.withLock { $0 } }

    /// Forgets all assignments: other views are evaluated from now on.
    func beginViews() { views.withLock { $0.removeAll(keepingCapacity: true) } }

    /// A worker was given a view, or has answered it.
    func note(view index: Int, _ assignment: ViewAssignment) {
        views.withLock { $0[index] = assignment }
    }

    /// Posts a command unless the thread has ended.
    ///
    /// - Throws: why the thread has ended
    func post(_ command: ClusterCommand, to mailbox: Mailbox<ClusterCommand>) throws {
        try ending.withLock { ending in
            if let ending { throw ending }
            mailbox.post(command)
        }
    }

    /// The thread's last action: fails the batches that it will not process.
    func end(_ mailbox: Mailbox<ClusterCommand>, because error: any Error) {
        ending.withLock { $0 = error }
        for command in mailbox.take() {
            switch command {
            case .run(_, _, let reports): reports.put(.failed(error))
            case .distrust(_, _, _, let reply): reply.put(.nobody)
            case .probe(let request): request.reply.put(.failed("\(error)"))
            default: break
            }
        }
    }
}

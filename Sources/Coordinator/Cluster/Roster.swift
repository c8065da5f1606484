import Engine
import Logging
import Protocol

/// The connected workers, by routing id and by worker id.
struct Roster {
    /// One connection of one worker.
    struct Peer {
        let worker: WorkerID
        /// ZeroMQ's routing id.
        let id: [UInt8]
        let hello: WorkerMessage.Hello
        /// Index of its entry on the board.
        let place: Int
        /// The origin of its messages.
        let origin: Origin

        /// The host that its failures count against: its key, which many machines may share, or else the name that it
        /// announces; and its address.
        var host: HostID {
            let machine = hello.relay.map { " by \($0.machine)" } ?? ""
            if let key = origin.key { return HostID("\(key) at \(origin.address)\(machine)") }
            // By default a worker's name ends with its pid, which must not make it a different host after a restart.
            let (name, process) = (hello.name, "-\(hello.processID)")
            let announced = name.hasSuffix(process) ? String(name.dropLast(process.count)) : name
            return HostID("\(announced) at \(origin.address)")
        }

        /// Protocol version that is spoken with it.
        var version: UInt32 { Handshake.version(of: hello) }

        /// Whether tensors are packed in both directions: over a socket on this host, that would take longer.
        var packs: Bool { hello.packs && version >= 8 && !origin.address.isEmpty }

        var metadata: Logger.Metadata {
            ["worker": "\(hello.name)", "process": "\(hello.processID)"]
        }
    }

    private var peers: [[UInt8]: Peer] = [:]
    private var ids: [WorkerID: [UInt8]] = [:]
    private var announced: [WorkerID: UInt64] = [:]
    private var rates: [WorkerID: RateLimit] = [:]
    /// Names of all connected and recently connected workers.
    private var names: [WorkerID: String] = [:]
    private var lastWorker = 0
    /// Maximum number of names that are kept, unless more workers are connected.
    private static let capacity = 4096

    subscript(id: [UInt8]) -> Peer? { peers[id] }
    subscript(worker: WorkerID) -> Peer? { ids[worker].flatMap { peers[$0] } }

    /// All workers, in the order of joining.
    var all: [Peer] { peers.values.sorted { $0.worker < $1.worker } }

    /// Whether a worker uses this connection.
    func has(_ connection: Connection) -> Bool {
        peers.values.contains { $0.origin.connection == connection }
    }

    /// Whether a worker is connected through this relay.
    func has(_ relay: RelayMark) -> Bool {
        peers.values.contains { $0.hello.relay?.id == relay.id }
    }

    func find(name: String, process: Int32) -> Peer? {
        peers.values.first { $0.hello.name == name && $0.hello.processID == process }
    }

    mutating func add(
        _ hello: WorkerMessage.Hello,
        _ id: [UInt8],
        place: Int,
        from origin: Origin
    ) -> Peer {
        lastWorker += 1
        let worker = WorkerID(lastWorker)
        let peer = Peer(worker: worker, id: id, hello: hello, place: place, origin: origin)
        peers[id] = peer
        ids[worker] = id
        if names.count >= 2 * Self.capacity {
            names = names.filter {
                ids[$0.key] != nil || $0.key.rawValue > lastWorker - Self.capacity
            }
        }
        names[worker] = hello.name
        return peer
    }

    /// - Returns: whether it was connected
    mutating func remove(_ worker: WorkerID) -> Bool {
        guard let id = ids.removeValue(forKey: worker) else { return false }
        peers[id] = nil
        announced[worker] = nil
        rates[worker] = nil
        return true
    }

    /// Counts a message.
    ///
    /// - Returns: whether the worker stays within its rate limit
    mutating func hears(_ worker: WorkerID, at now: Duration) -> Bool {
        rates[worker, default: .worker].admits(at: now)
    }

    /// Records that the worker was told about a job.
    ///
    /// - Returns: whether the job has to be announced
    mutating func announce(_ job: UInt64, to worker: WorkerID) -> Bool {
        announced.updateValue(job, forKey: worker) != job
    }

    /// The result of an attempt, as text.
    func describe(_ failure: DispatcherState.UnitFailure) -> String {
        let name = names[failure.worker] ?? "\(failure.worker)"
        switch failure.cause {
        case .lost(let loss): return "\(name) \(loss)"
        case .refused(let reason): return "\(name): \(reason)"
        }
    }
}

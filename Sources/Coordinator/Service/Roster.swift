import Logging
import Protocol

/// Who is connected, by routing id and by worker id.
struct Roster {
    /// One connection of one worker.
    struct Peer {
        let worker: WorkerID
        /// ZeroMQ's routing id.
        let id: [UInt8]
        let hello: WorkerMessage.Hello
        /// Place on the board.
        let place: Int

        var metadata: Logger.Metadata {
            ["worker": "\(hello.name)", "process": "\(hello.processID)"]
        }
    }

    private var peers: [[UInt8]: Peer] = [:]
    private var ids: [WorkerID: [UInt8]] = [:]
    private var announced: [WorkerID: UInt64] = [:]
    /// Of everybody who was ever here.
    private var names: [WorkerID: String] = [:]

    subscript(id: [UInt8]) -> Peer? { peers[id] }
    subscript(worker: WorkerID) -> Peer? { ids[worker].flatMap { peers[$0] } }

    /// Everybody, in the order of joining.
    var all: [Peer] { peers.values.sorted { $0.worker < $1.worker } }

    func find(name: String, process: Int32) -> Peer? {
        peers.values.first { $0.hello.name == name && $0.hello.processID == process }
    }

    mutating func add(_ hello: WorkerMessage.Hello, _ id: [UInt8], place: Int) -> Peer {
        let worker = WorkerID(names.count + 1)
        let peer = Peer(worker: worker, id: id, hello: hello, place: place)
        peers[id] = peer
        ids[worker] = id
        names[worker] = hello.name
        return peer
    }

    /// - Returns: whether it was here
    mutating func remove(_ worker: WorkerID) -> Bool {
        guard let id = ids.removeValue(forKey: worker) else { return false }
        peers[id] = nil
        announced[worker] = nil
        return true
    }

    /// Notes that the worker is told of a job.
    ///
    /// - Returns: whether it has to be told
    mutating func announce(_ job: UInt64, to worker: WorkerID) -> Bool {
        announced.updateValue(job, forKey: worker) != job
    }

    /// What became of an attempt, in words.
    func describe(_ casualty: DispatcherState.Casualty) -> String {
        let name = names[casualty.worker] ?? "\(casualty.worker)"
        switch casualty.cause {
        case .silent: return "\(name) fell silent"
        case .vanished: return "\(name) vanished"
        case .refused(let reason): return "\(name): \(reason)"
        }
    }
}

/// The units of the batch that runs.
struct RunningBatch {
    let first: UInt64
    let units: [UnitRequest]
    let reports: HandOver<BatchReport>

    /// Place in the batch; nil for units of other batches.
    func place(of unit: UnitID) -> Int? {
        guard unit.rawValue >= first, unit.rawValue - first < UInt64(units.count) else {
            return nil
        }
        return Int(unit.rawValue - first)
    }

    func request(_ unit: UnitID) -> UnitRequest? { place(of: unit).map { units[$0] } }
}

/// Decides who may join.
enum Handshake {
    /// - Returns: what to answer a worker that may not, with both sides named
    static func refusal(
        of hello: WorkerMessage.Hello,
        by model: ModelIdentity
    ) -> CoordinatorMessage.Refusal? {
        func refuse(_ reason: String) -> CoordinatorMessage.Refusal {
            CoordinatorMessage.Refusal(model: model, reason: reason)
        }
        if hello.version != protocolVersion {
            return refuse(
                "worker \(hello.name) speaks version \(hello.version) of the protocol, "
                    + "the coordinator version \(protocolVersion)"
            )
        }
        if hello.model.digest != model.digest {
            return refuse(
                "worker \(hello.name) has the model \(hello.model.summary), "
                    + "the coordinator \(model.summary)"
            )
        }
        return nil
    }
}

extension ModelIdentity {
    /// Path and the first digits of the digest.
    package var summary: String { "\(path) (\(digest.prefix(12)))" }
}

import Engine
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
        /// Where it calls from.
        let origin: Origin

        /// The host that its failures count against: its key, which many machines may share, or else what it
        /// announces; and its address.
        var host: HostID {
            if let key = origin.key { return HostID("\(key) at \(origin.address)") }
            // By default a worker's name ends with its process id, and a host that starts it again is the same.
            let (name, process) = (hello.name, "-\(hello.processID)")
            let announced = name.hasSuffix(process) ? String(name.dropLast(process.count)) : name
            return HostID("\(announced) at \(origin.address)")
        }

        var metadata: Logger.Metadata {
            ["worker": "\(hello.name)", "process": "\(hello.processID)"]
        }
    }

    private var peers: [[UInt8]: Peer] = [:]
    private var ids: [WorkerID: [UInt8]] = [:]
    private var announced: [WorkerID: UInt64] = [:]
    private var rates: [WorkerID: RateLimit] = [:]
    /// Of everybody who was ever here.
    private var names: [WorkerID: String] = [:]

    subscript(id: [UInt8]) -> Peer? { peers[id] }
    subscript(worker: WorkerID) -> Peer? { ids[worker].flatMap { peers[$0] } }

    /// Everybody, in the order of joining.
    var all: [Peer] { peers.values.sorted { $0.worker < $1.worker } }

    func find(name: String, process: Int32) -> Peer? {
        peers.values.first { $0.hello.name == name && $0.hello.processID == process }
    }

    mutating func add(
        _ hello: WorkerMessage.Hello,
        _ id: [UInt8],
        place: Int,
        from origin: Origin
    ) -> Peer {
        let worker = WorkerID(names.count + 1)
        let peer = Peer(worker: worker, id: id, hello: hello, place: place, origin: origin)
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
        rates[worker] = nil
        return true
    }

    /// Counts a message.
    ///
    /// - Returns: whether the worker sends no more than it has reason to
    mutating func hears(_ worker: WorkerID, at now: Duration) -> Bool {
        rates[worker, default: .worker].admits(at: now)
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

/// The units of the batch that runs: what was asked for, the last of it in halves where that keeps
/// more workers busy to the end.
struct RunningBatch {
    let first: UInt64
    let units: [UnitRequest]
    let reports: HandOver<BatchReport>
    /// What was asked for that each unit belongs to.
    private let places: [Int]
    /// Halves that have come, by unit.
    private var halves: [Int: Tensor] = [:]

    /// - Parameters:
    ///   - first: number of the first unit
    ///   - requests: what was asked for
    ///   - workers: how many are there to share guided views; 1 where none may be shared
    ///   - reports: for the render thread
    init(
        first: UInt64,
        _ requests: [UnitRequest],
        sharedBy workers: Int,
        reports: HandOver<BatchReport>
    ) {
        self.first = first
        self.reports = reports
        // Of 13 views two workers would do 7 and 6; with the last one shared, six and a half each.
        let rest = requests.count % max(1, workers)
        let shared = 2 * rest <= workers ? rest : 0
        var (units, places): ([UnitRequest], [Int]) = ([], [])
        for (place, request) in requests.enumerated() {
            let parts = place >= requests.count - shared ? request.halves : nil
            for part in parts ?? [request] {
                units.append(part)
                places.append(place)
            }
        }
        (self.units, self.places) = (units, places)
    }

    /// Takes the answer to a unit.
    ///
    /// - Returns: the place in what was asked for, and the answer to that, when it is whole
    mutating func take(
        _ result: PartResult,
        for unit: UnitID
    ) -> (place: Int, answer: PartResult)? {
        guard let index = place(of: unit) else { return nil }
        let place = places[index]
        let isFirst = index + 1 < places.count && places[index + 1] == place
        let other = isFirst ? index + 1 : index - 1
        guard places.indices.contains(other), places[other] == place else { return (place, result) }
        let tensor = result.wholeTensor
        guard let there = halves.removeValue(forKey: other) else {
            halves[index] = tensor
            return nil
        }
        let (negative, text) = isFirst ? (tensor, there) : (there, tensor)
        let whole = Guidance.combine(negative: negative, text: text, by: units[index].guidance)
        return (place, PartResult(tensor: whole))
    }

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

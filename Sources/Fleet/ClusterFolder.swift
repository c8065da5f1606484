import Coordinator
import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// The state of one cluster file, in `$XDG_STATE_HOME/tessera/clusters`: which workers `tessera cluster up` left
/// running, and what the last coordinator knew about them.
package struct ClusterFolder: Sendable {
    /// Workers that were started and keep running.
    package struct Record: Codable, Equatable, Sendable {
        package struct Host: Codable, Equatable, Sendable {
            package var name: String
            /// The command that starts an agent on the host.
            package var command: [String]
            package var workers: [AgentRequest.Known]
            /// Path on the host of the model that its workers load.
            package var model: String
        }

        package var format = 1
        /// Path of the cluster file.
        package var file: String
        /// The endpoint that the workers connect to.
        package var endpoint: String
        package var hosts: [Host] = []

        package init(file: String, endpoint: String) {
            (self.file, self.endpoint) = (file, endpoint)
        }
    }

    /// A coordinator's view of its workers, updated while it runs.
    package struct Snapshot: Codable, Equatable, Sendable {
        package struct Worker: Codable, Equatable, Sendable {
            package var name: String
            package var threads: Int
            package var backend: String
            package var precision: String
            /// Name of its processor or GPU.
            package var device: String
            /// Path of its model on its host.
            package var model: String
            package var isActive: Bool
            package var views: Int
            /// Seconds spent computing.
            package var busy: Double
            /// Seconds since 1970.
            package var lastHeard: Double
            /// Fields added later; nil in files of earlier versions.
            package var more: More?

            package init(
                name: String,
                threads: Int,
                backend: String,
                precision: String,
                device: String,
                model: String,
                isActive: Bool,
                views: Int,
                busy: Double,
                lastHeard: Double,
                more: More? = nil
            ) {
                (self.name, self.threads, self.backend) = (name, threads, backend)
                (self.precision, self.device, self.model) = (precision, device, model)
                (self.isActive, self.views, self.busy) = (isActive, views, busy)
                (self.lastHeard, self.more) = (lastHeard, more)
            }
        }

        /// Further facts about a worker.
        package struct More: Codable, Equatable, Sendable {
            /// Views and tiles per second, and bytes per second from the worker and to it, averaged over the last few
            /// seconds.
            package var rate = 0.0
            package var received = 0.0
            package var sent = 0.0
            /// Total number of tiles.
            package var tiles = 0
            package var retries = 0
            package var damaged = 0
            package var slowness: Double?
            package var isLate = false
            package var version: UInt32 = 0
            package var host: WorkerReport?

            package init() {}
        }

        package var coordinator: ProcessIdentity
        package var endpoint: String
        package var workers: [Worker]
        /// Names of workers that an earlier coordinator knew but this one has not heard from: a render may end before
        /// they have connected.
        package var earlier: [String]
        /// Number of units without an answer, and the time of writing in seconds since 1970.
        package var unitsLeft: Int?
        package var written: Double?

        package init(
            coordinator: ProcessIdentity,
            endpoint: String,
            _ statistics: [WorkerStatistics],
            after last: Snapshot? = nil
        ) {
            let known = Set(statistics.map(\.name))
            earlier =
                last?.endpoint == endpoint
                ? Set((last?.workers.filter(\.isActive).map(\.name) ?? []) + (last?.earlier ?? []))
                    .subtracting(known).sorted() : []
            (self.coordinator, self.endpoint) = (coordinator, endpoint)
            workers = statistics.map { worker in
                Worker(
                    name: worker.name,
                    threads: worker.threads,
                    backend: worker.backend,
                    precision: worker.precision,
                    device: worker.processor,
                    model: worker.model,
                    isActive: worker.isActive,
                    views: worker.views,
                    busy: worker.busy / .seconds(1),
                    lastHeard: worker.lastHeard.timeIntervalSince1970,
                    more: More(worker)
                )
            }
        }
    }

    package let path: String
    /// Path of the cluster file, with symbolic links resolved.
    package let file: String
    /// Identifies the cluster on every host, for the folder of its logs.
    package let name: String

    /// - Parameter file: path of the cluster file
    /// - Throws: `InputError` if the user has no home folder
    package init(for file: String) throws(InputError) {
        let url = URL(fileURLWithPath: file).resolvingSymlinksInPath()
        self.file = url.path
        let hash = FileHash()
        // Include the host: other machines may have a file with the same path and use the same hosts.
        hash.add(text: "\(ProcessInfo.processInfo.hostName) \(getuid()) \(url.path)")
        let stem = url.deletingPathExtension().lastPathComponent
            .filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
        name = "\(stem.prefix(40))-\(hash.finish().prefix(12))"
        guard let folder = UserFolder.state.named("clusters") else {
            throw InputError(
                "$HOME",
                "it is not set, and the state of clusters is kept below it",
                fix: "Set XDG_STATE_HOME"
            )
        }
        path = "\(folder)/\(name)"
    }

    private var recordPath: String { "\(path)/started.json" }
    private var seenPath: String { "\(path)/joined-seen.json" }

    /// Open invitations, and machines that have joined.
    package var joined: JoinFolder { JoinFolder(path: path) }

    /// When a coordinator last heard from each worker's key, in seconds since 1970.
    package var seen: [String: Double] {
        (try? InputFile.bytes(seenPath, limit: 1 << 22))
            .flatMap { try? JSONDecoder().decode([String: Double].self, from: Data($0)) } ?? [:]
    }

    /// Records when workers were last heard from, if any machine has joined this cluster.
    func note(_ statistics: [WorkerStatistics]) throws {
        let heard = statistics.compactMap { worker in
            worker.key.map { ($0, worker.lastHeard.timeIntervalSince1970) }
        }
        try note(heard: Dictionary(heard, uniquingKeysWith: max))
    }

    /// Records when keys were last heard from, in seconds since 1970.
    func note(heard: [PublicKey: Double]) throws {
        guard let book = try? joined.book(), !book.members.isEmpty else { return }
        let before = seen
        var now = before.filter { key, _ in book.members.contains { $0.key.text == key } }
        for (key, time) in heard where book.memberKeys.contains(key) {
            now[key.text] = max(now[key.text] ?? 0, time)
        }
        if now != before { try write(now, seenPath) }
    }

    private var presentPath: String { "\(path)/relay-present.json" }

    /// Keys of the machines that are connected to a relay, while one is running.
    var present: Set<String> {
        (try? InputFile.bytes(presentPath, limit: 1 << 20))
            .flatMap { try? JSONDecoder().decode(Set<String>.self, from: Data($0)) } ?? []
    }

    /// Records the keys of the machines that are connected to the relay.
    func note(present: Set<PublicKey>) throws {
        try write(Set(present.map(\.text)), presentPath)
    }

    private var snapshotPath: String { "\(path)/seen.json" }

    /// Creates the folder and locks it, so that no other process starts or stops workers meanwhile.
    ///
    /// - Throws: `InputError` if another process holds the lock
    func take() throws(InputError) -> FileLock {
        try PrivateFolder.make(path)
        return try FileLock(
            folder: path,
            fix: "Make it readable",
            taken: InputError(
                file,
                "another tessera cluster starts or stops its workers",
                fix: "Wait for it"
            )
        )
    }

    /// The workers that were started; nil if none were.
    ///
    /// - Throws: `InputError` if the file is damaged: workers that it recorded may still be running
    package func record() throws(InputError) -> Record? {
        guard FileManager.default.fileExists(atPath: recordPath) else { return nil }
        let bytes = try InputFile.bytes(recordPath, limit: 1 << 24)
        guard let record = try? JSONDecoder().decode(Record.self, from: Data(bytes)),
            record.format == 1, record.hosts.allSatisfy({ !$0.command.isEmpty })
        else {
            throw InputError(
                recordPath,
                "it is damaged, or of another version of Tessera",
                fix: "End the hosts' workers by hand (ps -C tessera) and remove it"
            )
        }
        return record
    }

    /// Saves a record, or removes it if it has no hosts.
    package func save(_ record: Record) throws {
        guard !record.hosts.isEmpty else {
            unlink(recordPath)
            return
        }
        try write(record, recordPath)
    }

    /// The last coordinator's view of its workers; nil if there was no coordinator.
    package var snapshot: Snapshot? {
        (try? InputFile.bytes(snapshotPath, limit: 1 << 24))
            .flatMap { try? JSONDecoder().decode(Snapshot.self, from: Data($0)) }
    }

    package func save(_ snapshot: Snapshot) throws {
        try PrivateFolder.make(path)
        try write(snapshot, snapshotPath)
    }

    /// Removes files that are not needed once nothing is running.
    package func tidy() {
        guard !FileManager.default.fileExists(atPath: recordPath) else { return }
        unlink(snapshotPath)
        rmdir(path)
    }

    private func write(_ value: some Encodable, _ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let file = try TemporaryFile(for: path)
        try file.write(Array(try encoder.encode(value)))
        try file.commit()
    }
}

/// Updates `seen.json` with the coordinator's view of its workers.
final class StatusWriter: Sendable {
    private let isOver = BlockingQueue<Void>()
    private let thread: NamedThread

    /// - Parameters:
    ///   - cluster: the coordinator in this process
    ///   - folder: the folder of its cluster file
    init(_ cluster: Cluster, _ folder: ClusterFolder) {
        let last = folder.snapshot
        let rates = Mutex(WorkerRates())
        thread = NamedThread("statusWriter") { [isOver, weak cluster] in
            guard let own = ProcessIdentity(of: getpid()) else { return }
            var goesOn = true
            while goesOn {
                goesOn = isOver.take(before: .now + .seconds(1)) == nil
                guard let cluster else { return }
                let statistics = cluster.statistics
                var snapshot = ClusterFolder.Snapshot(
                    coordinator: own,
                    endpoint: cluster.endpoint.address,
                    statistics,
                    after: last
                )
                let now = Date().timeIntervalSince1970
                (snapshot.unitsLeft, snapshot.written) = (cluster.unitsLeft, now)
                rates.withLock { $0.fill(&snapshot, from: statistics, at: now) }
                // The file is only informative: a full disk must not end a render.
                try? folder.save(snapshot)
                try? folder.note(statistics)
            }
        }
    }

    /// Writes a last time, then stops.
    func stop() {
        isOver.put(())
        thread.join()
    }
}

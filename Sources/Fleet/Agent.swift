import Coordinator
import Engine
import Foundation
import Glibc
import Protocol

/// `tessera agent`: starts, monitors and ends the workers of one host, as requested on standard input.
///
/// The requester holds the other end of standard input. When that closes, for whatever reason, the workers of `run`
/// end; those of `start` also end unless `keep` was received.
package enum Agent {
    /// Handles one request.
    ///
    /// - Parameter version: version of this program
    /// - Throws: `InputError` for an invalid request
    package static func serve(version: String) throws {
        closeInheritedDescriptorsInChildren()
        let input = LineInput(STDIN_FILENO)
        let events = AgentEventWriter()
        guard let line = input.next(limit: 2 * AgentRequest.maxLength),
            let request = try? JSONDecoder().decode(AgentRequest.self, from: Data(line))
        else {
            throw InputError(
                "standard input",
                "there is no request",
                fix: "An agent is started by tessera render --cluster and tessera cluster"
            )
        }
        var hello = AgentEvent(.hello, text: version)
        hello.cores = ProcessInfo.processInfo.activeProcessorCount
        events.write(hello)
        guard request.version == version else {
            return events.write(
                AgentEvent(
                    .failed,
                    text: "this host has Tessera \(version), the coordinator \(request.version)"
                )
            )
        }
        do {
            switch request.task {
            case .run: try run(request, input, events)
            case .start: try start(request, input, events)
            case .check: check(request, events)
            case .stop: stop(request, events)
            }
        } catch {
            events.write(AgentEvent(.failed, text: "\(error)"))
        }
    }

    /// Keeps workers from inheriting descriptors that were open when this process began: a process that reads such a
    /// pipe to its end would otherwise wait for a persistent worker.
    private static func closeInheritedDescriptorsInChildren() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in names.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    private static func arguments(
        _ request: AgentRequest,
        _ name: String,
        _ lifetime: WorkerArguments.Lifetime
    ) -> [String] {
        WorkerArguments.command(
            name: name,
            threads: request.threads,
            of: request.names.count,
            device: WorkerArguments.device(of: name, among: request.devices),
            share: request.share,
            flags: request.arguments,
            lifetime: lifetime
        )
    }

    // MARK: - Workers that end with the request

    private static func run(
        _ request: AgentRequest,
        _ input: LineInput,
        _ events: AgentEventWriter
    ) throws {
        let finished = BlockingQueue<Void>()
        let running = request.processes.filter { $0.process.isAlive }
        let names = request.names.filter { name in !running.contains { $0.name == name } }
        for known in request.processes where !running.contains(known) {
            var event = AgentEvent(.state, name: known.name)
            (event.process, event.isAlive) = (known.process, false)
            events.write(event)
        }
        let watch = ProcessWatch(running, logs: logFolder(request.folder), events)
        watch.check()
        let workers = try WorkerGroup(
            names.map { ($0, arguments(request, $0, .exitsWithCoordinator)) },
            environment: request.environment,
            restarts: true,
            onEvent: { event in
                switch event {
                case .started(let name, let process):
                    var event = AgentEvent(.started, name: name)
                    event.process = ProcessIdentity(of: process)
                    if let process = event.process { watch.add(name, process) }
                    events.write(event)
                case .said(let name, let line):
                    events.write(AgentEvent(.said, name: name, text: line))
                case .ended(let name, let process, let account, let willReturn):
                    var event = AgentEvent(.ended, name: name, text: account)
                    event.process = ProcessIdentity(id: process, start: 0, boot: "")
                    event.willReturn = willReturn
                    events.write(event)
                case .allEnded: finished.put(())
                }
            }
        )
        defer { workers.stop(dismissed: false) }
        events.write(AgentEvent(.done))
        watch.start()
        _ = NamedThread("input", stack: 1 << 20) {
            while input.next(limit: 100) != nil {}
            finished.put(())
        }
        finished.take()
    }

    // MARK: - Persistent workers

    private static func start(
        _ request: AgentRequest,
        _ input: LineInput,
        _ events: AgentEventWriter
    ) throws {
        guard let folder = logFolder(request.folder) else {
            throw InputError(
                "$HOME",
                "it is not set, and logs are kept below it",
                fix: "Set XDG_STATE_HOME"
            )
        }
        try PrivateFolder.make(folder)
        let noInput = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(noInput) }
        var started: [ProcessIdentity] = []
        let watch = ProcessWatch([], logs: folder, events)
        func abandon() {
            for process in started { _ = process.end(patience: .seconds(2)) }
        }
        do {
            for name in request.names {
                let path = "\(folder)/\(name).log"
                let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
                guard log >= 0 else {
                    throw OutputError(path, String(cString: strerror(errno)))
                }
                defer { close(log) }
                let before = lseek(log, 0, SEEK_END)
                let id = try Spawn.start(
                    Spawn.thisProgram,
                    arguments(request, name, .persistent),
                    environment: request.environment,
                    grouping: .session,
                    input: noInput,
                    output: log
                )
                var event = AgentEvent(.started, name: name)
                event.process = ProcessIdentity(of: id)
                if let process = event.process {
                    started.append(process)
                    watch.add(name, process, log: path)
                }
                events.write(event)
                // As long as the requester listens, report why a worker ended.
                _ = NamedThread("watch", stack: 1 << 20) {
                    let ending = ChildProcess.reap(id)
                    let words = LastLines()
                    for line in lastLines(of: path, after: before) { words.add(line, of: name) }
                    var event = AgentEvent(
                        .ended,
                        name: name,
                        text: words.account(of: name, ending)
                    )
                    event.process = ProcessIdentity(id: id, start: 0, boot: "")
                    events.write(event)
                }
            }
        } catch {
            abandon()
            throw error
        }
        events.write(AgentEvent(.done))
        guard input.next(limit: 100).map({ String(decoding: $0, as: UTF8.self) }) == "keep" else {
            return abandon()
        }
        watch.start()
        while input.next(limit: 100) != nil {}
    }

    private static func logFolder(_ name: String) -> String? {
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else { return nil }
        return UserFolder.state.named("workers").map { "\($0)/\(name)" }
    }

    /// The last non-empty lines of a file; reads only its end, because it may be long.
    static func lastLines(of path: String, after start: off_t = 0) -> [String] {
        guard let file = FileHandle(forReadingAtPath: path), let end = try? file.seekToEnd() else {
            return []
        }
        let from = max(UInt64(max(0, start)), end - min(end, 4096))
        guard (try? file.seek(toOffset: from)) != nil, let data = try? file.readToEnd() else {
            return []
        }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(3)
            .map { printable(String($0), limit: 300) }
    }

    // MARK: - Processes of earlier requests

    private static func check(_ request: AgentRequest, _ events: AgentEventWriter) {
        for known in request.processes {
            let path = logFolder(request.folder).map { "\($0)/\(known.name).log" }
            let line = path.flatMap { lastLines(of: $0).last }
            var event = AgentEvent(.state, name: known.name, text: line)
            event.isAlive = known.process.isAlive
            event.isStopped = known.process.isStopped
            event.process = known.process
            events.write(event)
        }
        events.write(AgentEvent(.done))
    }

    private static func stop(_ request: AgentRequest, _ events: AgentEventWriter) {
        let patience = Duration.milliseconds(Int64(min(max(0, request.patience), 3600) * 1000))
        let threads = request.processes.map { known in
            NamedThread("stop", stack: 1 << 20) {
                let ending = known.process.end(patience: patience)
                var event = AgentEvent(.state, name: known.name, text: ending.rawValue)
                event.isAlive = ending == .stays
                events.write(event)
            }
        }
        for thread in threads { thread.join() }
        if let folder = logFolder(request.folder) {
            for known in request.processes { unlink("\(folder)/\(known.name).log") }
            rmdir(folder)
        }
        events.write(AgentEvent(.done))
    }
}

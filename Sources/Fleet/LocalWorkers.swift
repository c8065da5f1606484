import Engine
import Foundation
import Glibc
import Logging
import Protocol
import Synchronization

/// Worker processes on this host, started for one cluster and ended with it.
///
/// They hold one end of a pipe as standard input: the kernel closes the other end however this
/// process ends, and then they end too.
package final class LocalWorkers: Sendable {
    /// How to start a worker.
    package struct Launch: Sendable {
        /// The program; by default the one that runs now.
        package var program: String
        package var workers: Int
        /// Threads of each.
        package var threads: Int
        /// The program's arguments for a worker, given its name and its threads.
        package var arguments: @Sendable (_ name: String, _ threads: Int) -> [String]

        /// - Parameters:
        ///   - workers: at least 1
        ///   - threads: of each; nil shares this host's cores evenly
        ///   - arguments: as for the command line, without the program's name
        package init(
            workers: Int,
            threads: Int?,
            arguments: @escaping @Sendable (_ name: String, _ threads: Int) -> [String]
        ) {
            precondition(workers >= 1, "\(workers)")
            program = Spawn.thisProgram
            self.workers = workers
            self.threads =
                threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / workers)
            self.arguments = arguments
        }
    }

    private let children: [ChildProcess]
    private let lifeline: Mutex<Int32?>

    /// Starts all workers.
    ///
    /// - Parameters:
    ///   - launch: what to start
    ///   - cluster: hears of their ends
    ///   - expectOthers: whether workers may join from elsewhere; else the cluster gives up as soon
    ///     as the last of these has ended
    ///   - logger: gets their messages, with the worker's name
    /// - Throws: `InputError` when one cannot be started; then none is left running
    package init(
        _ launch: Launch,
        for cluster: Cluster,
        expectOthers: Bool,
        logger: Logger
    ) throws {
        let pipe = try PrivatePipe()
        let writing = pipe.writing
        defer { close(pipe.reading) }
        lifeline = Mutex(writing)
        let words = LastWords()
        let running = RunningCount(launch.workers)
        var children: [ChildProcess] = []
        do {
            for number in 1...launch.workers {
                let name = "local-\(number)"
                children.append(
                    try ChildProcess(
                        launch.program,
                        launch.arguments(name, launch.threads),
                        name: name,
                        lifeline: pipe.reading,
                        onLine: { line in
                            words.add(line, of: name)
                            logger.info(
                                "worker says",
                                metadata: ["worker": "\(name)", "line": "\(line)"]
                            )
                        },
                        onEnd: { [weak cluster] id, ending in
                            let account = words.account(of: name, ending)
                            cluster?.processEnded(name, process: id, account: account)
                            if running.countEnd() == 0, !expectOthers { cluster?.expectNobody() }
                        }
                    )
                )
            }
        } catch {
            close(writing)
            for child in children { child.signal(SIGKILL) }
            for child in children { child.wait() }
            throw error
        }
        self.children = children
    }

    /// Process ids, in the order of the names local-1, local-2, …
    package var processes: [Int32] { children.map(\.id) }

    /// Ends all workers: they get a moment to end by themselves, then are killed. Returns when none
    /// is left. Stop the cluster first, so that they are dismissed.
    package func stop() {
        let open = lifeline.withLock { open in
            defer { open = nil }
            return open
        }
        guard let open else { return }
        let deadline = Date(timeIntervalSinceNow: 2)
        // Closing the lifeline ends them too, but at once; so first the ones that listen.
        var waiting = children.filter {
            !$0.wait(until: min(deadline, Date(timeIntervalSinceNow: 1)))
        }
        close(open)
        waiting = waiting.filter { !$0.wait(until: deadline) }
        for child in waiting { child.signal(SIGKILL) }
        for child in waiting { child.wait() }
    }

    deinit { stop() }

    /// How many run.
    private final class RunningCount: Sendable {
        private let running: Atomic<Int>

        init(_ count: Int) {
            running = Atomic(count)
        }

        /// - Returns: how many are left
        func countEnd() -> Int { running.subtract(1, ordering: .acquiringAndReleasing).newValue }
    }
}

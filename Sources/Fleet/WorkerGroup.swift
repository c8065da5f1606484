import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// Worker processes of this host that end with their parent.
///
/// Their standard input is a pipe: the kernel closes the other end however this process ends, and then
/// they end too.
package final class WorkerGroup: Sendable {
    /// Events of the workers, reported on other threads.
    package enum Event: Sendable {
        case started(name: String, process: Int32)
        case said(name: String, line: String)
        /// With the last lines that it printed.
        case ended(name: String, process: Int32, account: String)
        /// No worker of the group is running any more.
        case allEnded
    }

    private let children: [ChildProcess]
    private let lifeline: Mutex<Int32?>

    /// Starts all workers.
    ///
    /// - Parameters:
    ///   - names: of the workers
    ///   - program: that they run
    ///   - environment: variables added to this process's own
    ///   - arguments: of a worker by its name, without the program's name
    ///   - onEvent: called for each event
    /// - Throws: `InputError` when one cannot be started; then none is left running
    package init(
        _ names: [String],
        program: String = Spawn.thisProgram,
        environment: [String: String] = [:],
        arguments: (_ name: String) -> [String],
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws {
        let pipe = try PrivatePipe()
        defer { close(pipe.reading) }
        lifeline = Mutex(pipe.writing)
        let words = LastLines()
        let running = RunningCount(names.count)
        var children: [ChildProcess] = []
        do {
            for name in names {
                let child = try ChildProcess(
                    program,
                    arguments(name),
                    environment: environment,
                    name: name,
                    lifeline: pipe.reading,
                    onLine: { line in
                        words.add(line, of: name)
                        onEvent(.said(name: name, line: line))
                    },
                    onEnd: { id, ending in
                        let account = words.account(of: name, ending)
                        onEvent(.ended(name: name, process: id, account: account))
                        if running.countEnd() == 0 { onEvent(.allEnded) }
                    }
                )
                children.append(child)
                onEvent(.started(name: name, process: child.id))
            }
        } catch {
            close(pipe.writing)
            for child in children { child.signal(SIGKILL) }
            for child in children { child.wait() }
            throw error
        }
        self.children = children
    }

    /// Process ids, in the order of the names.
    package var processes: [Int32] { children.map(\.id) }

    /// Ends all workers: they get a moment to end by themselves, then are killed. Returns when none is left. Later
    /// calls have no effect.
    ///
    /// - Parameter dismissed: whether they were told to go, and end by themselves
    package func stop(dismissed: Bool) {
        let open = lifeline.withLock { open in
            defer { open = nil }
            return open
        }
        guard let open else { return }
        let deadline = Date(timeIntervalSinceNow: 2)
        var waiting = children
        if dismissed {
            // Closing the lifeline ends them at once: first the ones that listen.
            let soon = Date(timeIntervalSinceNow: 1)
            waiting = waiting.filter { !$0.wait(until: soon) }
        }
        close(open)
        waiting = waiting.filter { !$0.wait(until: deadline) }
        for child in waiting { child.signal(SIGKILL) }
        for child in waiting { child.wait() }
    }

    deinit { stop(dismissed: true) }

    /// The number of running workers.
    private final class RunningCount: Sendable {
        private let running: Atomic<Int>

        init(_ count: Int) {
            running = Atomic(count)
        }

        /// - Returns: how many are left
        func countEnd() -> Int { running.subtract(1, ordering: .acquiringAndReleasing).newValue }
    }
}

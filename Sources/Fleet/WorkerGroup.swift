import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// Worker processes of this host that end with their parent.
///
/// Their standard input is a pipe: the kernel closes the other end however this process ends, which makes them end too.
package final class WorkerGroup: Sendable {
    /// Events of the workers, reported on other threads.
    package enum Event: Sendable {
        case started(name: String, process: Int32)
        case said(name: String, line: String)
        /// `account` includes the last lines that it printed; `willReturn` says whether it is about to be restarted.
        case ended(name: String, process: Int32, account: String, willReturn: Bool)
        /// No worker of the group is running any longer.
        case allEnded
    }

    private struct State {
        var children: [ChildProcess] = []
        var isStopping = false
    }

    private let program: String
    private let environment: [String: String]
    private let onEvent: @Sendable (Event) -> Void
    private let lifeline: PrivatePipe
    private let words = LastLines()
    /// Number of workers that are running or will be restarted.
    private let remaining: Atomic<Int>
    private let state = Mutex(State())

    /// Starts all workers.
    ///
    /// - Parameters:
    ///   - workers: names of the workers, and their arguments without the program's name
    ///   - program: the program to run
    ///   - environment: variables to add to this process's own
    ///   - restarts: whether workers that crash or are killed are restarted
    ///   - onEvent: called for each event
    /// - Throws: `InputError` if a worker cannot be started; then none is left running
    package init(
        _ workers: [(name: String, arguments: [String])],
        program: String = Spawn.thisProgram,
        environment: [String: String] = [:],
        restarts: Bool = false,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws {
        (self.program, self.environment, self.onEvent) = (program, environment, onEvent)
        lifeline = try PrivatePipe()
        remaining = Atomic(workers.count)
        do {
            for worker in workers { try start(worker, restarts ? Restarts() : nil) }
        } catch {
            for child in state.withLock({ $0.children }) { child.signal(SIGKILL) }
            stop(dismissed: false)
            throw error
        }
    }

    /// Starts a worker, unless the group is being stopped.
    private func start(
        _ worker: (name: String, arguments: [String]),
        _ restarts: Restarts?
    ) throws {
        let name = worker.name
        let start = ContinuousClock.now
        let child: ChildProcess? = try state.withLock { state in
            guard !state.isStopping else { return nil }
            let child = try ChildProcess(
                program,
                worker.arguments,
                environment: environment,
                name: name,
                lifeline: lifeline.reading,
                onLine: { [weak self] line in
                    self?.words.add(line, of: name)
                    self?.onEvent(.said(name: name, line: line))
                },
                onEnd: { [weak self] process, ending in
                    self?.ended(worker, process, ending, ContinuousClock.now - start, restarts)
                }
            )
            state.children.removeAll { $0.name == name }
            state.children.append(child)
            return child
        }
        if let child { onEvent(.started(name: name, process: child.id)) }
    }

    private func ended(
        _ worker: (name: String, arguments: [String]),
        _ process: Int32,
        _ ending: ChildProcess.Ending,
        _ running: Duration,
        _ restarts: Restarts?
    ) {
        let name = worker.name
        var account = words.account(of: name, ending)
        guard var restarts, ending.isAccident, !state.withLock({ $0.isStopping }),
            let pause = restarts.pause(after: running)
        else { return endForGood(name, process, account) }
        account += "; \(restarts.announcement(pause))"
        onEvent(.ended(name: name, process: process, account: account, willReturn: true))
        let next = restarts
        _ = NamedThread("restart", stack: 1 << 20) { [weak self] in
            usleep(useconds_t(pause / .microseconds(1)))
            do {
                try self?.start(worker, next)
            } catch {
                self?.endForGood(name, 0, "\(name) cannot be started again: \(error)")
            }
        }
    }

    private func endForGood(_ name: String, _ process: Int32, _ account: String) {
        onEvent(.ended(name: name, process: process, account: account, willReturn: false))
        if remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
            onEvent(.allEnded)
        }
    }

    /// Process ids, in the order of the latest starts.
    package var processes: [Int32] { state.withLock { $0.children.map(\.id) } }

    /// Kills a worker, unless it has ended; for one that no longer responds to requests.
    ///
    /// - Returns: whether it was running
    func kill(_ process: Int32) -> Bool {
        let child = state.withLock { $0.children.first { $0.id == process } }
        child?.signal(SIGKILL)
        return child != nil
    }

    /// Ends all workers: they have a moment to end by themselves, then they are killed. Returns when none is left.
    /// Later calls have no effect.
    ///
    /// - Parameter dismissed: whether the workers were told to end by themselves
    package func stop(dismissed: Bool) {
        let children: [ChildProcess]? = state.withLock { state in
            guard !state.isStopping else { return nil }
            state.isStopping = true
            return state.children
        }
        guard var waiting = children else { return }
        let deadline = ContinuousClock.now + .seconds(2)
        if dismissed {
            // Closing the lifeline ends workers immediately, so first wait for those that obey.
            let soon = ContinuousClock.now + .seconds(1)
            waiting = waiting.filter { !$0.wait(until: soon) }
        }
        close(lifeline.writing)
        close(lifeline.reading)
        waiting = waiting.filter { !$0.wait(until: deadline) }
        for child in waiting { child.signal(SIGKILL) }
        for child in waiting { child.wait() }
    }

    deinit { stop(dismissed: true) }
}

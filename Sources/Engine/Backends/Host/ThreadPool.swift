import CKernels
import Foundation
import Synchronization

/// A fixed set of threads that share numbered blocks of work.
///
/// The caller is one of them: a pool of one starts no thread. Any thread may run any block, and a block's result must
/// not depend on which thread runs it. Then results do not depend on the number of threads, to the bit.
package final class ThreadPool {
    /// Number of threads that compute, including the caller. `lane` in `run` is below this.
    package let lanes: Int
    private let workers: WorkerPool

    /// Starts `threads` − 1 threads, which end with the pool.
    package init(threads count: Int) {
        precondition(count > 0, "\(count) threads")
        lanes = count
        workers = WorkerPool(helpers: count - 1)
    }

    deinit { workers.stop() }

    /// Calls `body` once for each block in `0 ..< count` and returns when all are done.
    package func run(_ count: Int, _ body: (_ block: Int, _ lane: Int) -> Void) {
        guard lanes > 1 && count > 1 else {
            for block in 0..<count { body(block, 0) }
            return
        }
        withoutActuallyEscaping(body) { workers.run(WorkerPool.Round(count: count, body: $0)) }
    }
}

/// The state that a pool's threads share; they keep it alive, not the pool.
///
/// A network takes about a thousand rounds, most of them some microseconds to a few milliseconds long. Waking a
/// sleeping thread for each would take a noticeable share of that time, more so on a virtual machine, so a waiting
/// thread spins for a while before it sleeps. Nobody waits for a thread that has not woken up: the helpers that are
/// awake when a round begins share it with the caller; a late one finds the round over and skips it.
///
/// `@unchecked Sendable`: once the threads have started, `state` is accessed only while holding `condition`'s lock, and
/// the other variables are atomic. A round's body is not Sendable, but it is called only while `run` is running: `run`
/// returns only after every helper that has joined the round has left it.
private final class WorkerPool: @unchecked Sendable {
    /// One round of blocks. Does not outlive the call of `run`.
    struct Round {
        let count: Int
        let body: (_ block: Int, _ lane: Int) -> Void
    }

    private struct State {
        /// The round that helpers may join.
        var round: Round?
        var number = 0
        /// Helpers that have joined the round and not left it yet.
        var joined = 0
        /// Whether the caller is asleep, waiting for all helpers to leave.
        var awaited = false
        /// Helpers that are still running.
        var living = 0
        var stopping = false
    }

    /// Iterations, some tens of nanoseconds each, that a waiting thread spins before it sleeps.
    private static let spins = 4000

    private let condition = NSCondition()
    private var state = State()
    private let next = Atomic<Int>(0)
    /// Copies of `state.number` and `state.joined` for spinning threads. They are updated after the lock is released,
    /// so that readers never wait for it; they may lag behind, and `state` itself decides.
    private let announced = Atomic<Int>(0)
    private let working = Atomic<Int>(0)

    init(helpers: Int) {
        state.living = helpers
        for lane in 0..<helpers {
            let thread = Thread {
                tessera_name_thread("tessera-math-\(lane + 1)")
                self.help(lane: lane + 1)
            }
            thread.stackSize = 4 << 20
            thread.start()
        }
    }

    /// Ends the threads and waits until they have exited.
    func stop() {
        condition.withLock {
            state.stopping = true
            condition.broadcast()
            while state.living > 0 { condition.wait() }
        }
    }

    /// Takes part in a round and returns when its last block is done.
    func run(_ round: Round) {
        next.store(0, ordering: .relaxed)
        let number = condition.withLock {
            state.round = round
            state.number += 1
            condition.broadcast()
            return state.number
        }
        announced.store(number, ordering: .releasing)
        take(round, lane: 0)
        let alone = condition.withLock {
            state.round = nil
            return state.joined == 0
        }
        if alone { return }
        spin { working.load(ordering: .acquiring) == 0 }
        condition.withLock {
            state.awaited = true
            while state.joined > 0 { condition.wait() }
            state.awaited = false
        }
    }

    /// Takes blocks until none are left.
    private func take(_ round: Round, lane: Int) {
        while true {
            let block = next.add(1, ordering: .relaxed).oldValue
            guard block < round.count else { return }
            round.body(block, lane)
        }
    }

    /// Spins until `isTime`, or until it is better to sleep.
    private func spin(_ isTime: () -> Bool) {
        for _ in 0..<Self.spins {
            if isTime() { return }
            tessera_pause()
        }
    }

    /// A helper's main loop: wait for a round, join it, run blocks, leave it.
    private func help(lane: Int) {
        var seen = 0
        while let joined = takePart(after: &seen, lane: lane) {
            guard joined else { continue }
            condition.withLock {
                state.joined -= 1
                if state.joined == 0 && state.awaited { condition.broadcast() }
            }
            working.subtract(1, ordering: .releasing)
        }
        condition.withLock {
            state.living -= 1
            if state.living == 0 { condition.broadcast() }
        }
    }

    /// Waits for a round after number `seen` and runs blocks of it. Returns whether it was
    /// still open, or nil at the end.
    ///
    /// Never inlined: the caller of `run` owns the round's body, so no copy of it may be left once a helper has
    /// reported that it left the round.
    @inline(never) private func takePart(after seen: inout Int, lane: Int) -> Bool? {
        spin { announced.load(ordering: .acquiring) != seen }
        condition.lock()
        while state.number == seen && !state.stopping { condition.wait() }
        seen = state.number
        guard !state.stopping, let round = state.round else {
            defer { condition.unlock() }
            return state.stopping ? nil : false
        }
        state.joined += 1
        working.add(1, ordering: .relaxed)
        condition.unlock()
        take(round, lane: lane)
        return true
    }
}

import CKernels
import Foundation
import Synchronization

/// A fixed set of threads that share numbered blocks of work.
///
/// The caller is one of them: a pool of one starts none. Any thread may take any block, so a block
/// must not depend on who computes it; then results are the same bits for every number of threads.
package final class ThreadPool {
    /// Threads that compute, the caller among them. `lane` in `run` is below this.
    package let lanes: Int
    private let crew: Crew

    /// Starts `threads` − 1 threads, which end with the pool.
    package init(threads count: Int) {
        precondition(count > 0, "\(count) threads")
        lanes = count
        crew = Crew(helpers: count - 1)
    }

    deinit { crew.stop() }

    /// Calls `body` once for each block in `0 ..< count` and returns when all are done.
    package func run(_ count: Int, _ body: (_ block: Int, _ lane: Int) -> Void) {
        guard lanes > 1 && count > 1 else {
            for block in 0..<count { body(block, 0) }
            return
        }
        withoutActuallyEscaping(body) { crew.run(Crew.Round(count: count, body: $0)) }
    }
}

/// What the threads of a pool share; they keep it alive, not the pool.
///
/// A network has a thousand rounds, most of a few milliseconds: waking a sleeping thread for each would take a
/// noticeable share of them, more so on a virtual machine. So whoever waits looks out for a while before it sleeps.
///
/// `@unchecked Sendable`: `state` is read and written only under `condition`; a round's body is called
/// only between the start of `run` and its return, which waits for every helper.
private final class Crew: @unchecked Sendable {
    /// One round of blocks. The caller of `run` outlives it.
    struct Round {
        let count: Int
        let body: (_ block: Int, _ lane: Int) -> Void
    }

    private struct State {
        var round: Round?
        var number = 0
        var busy = 0
        var stopping = false
    }

    /// Looks that a waiting thread takes, some tens of nanoseconds each, before it sleeps.
    private static let looks = 4000

    private let helpers: Int
    private let condition = NSCondition()
    private var state = State()
    private let next = Atomic<Int>(0)
    /// `state.number` and `state.busy` for those who look out. They follow when the lock has been let go, so that nobody
    /// who sees them has to wait for it; they may be late, and the state itself decides.
    private let announced = Atomic<Int>(0)
    private let working = Atomic<Int>(0)

    init(helpers: Int) {
        self.helpers = helpers
        state.busy = helpers
        for lane in 0..<helpers {
            let thread = Thread {
                tessera_name_thread("tessera-math-\(lane + 1)")
                self.help(lane: lane + 1)
            }
            thread.stackSize = 4 << 20
            thread.start()
        }
        waitForHelpers()
    }

    /// Ends the threads and waits until they have left their last instructions.
    func stop() {
        condition.withLock {
            state.stopping = true
            state.busy = helpers
            condition.broadcast()
        }
        waitForHelpers()
    }

    /// Takes part in a round and returns when its last block is done.
    func run(_ round: Round) {
        next.store(0, ordering: .relaxed)
        working.store(helpers, ordering: .relaxed)
        let number = condition.withLock {
            state.round = round
            state.number += 1
            state.busy = helpers
            condition.broadcast()
            return state.number
        }
        announced.store(number, ordering: .releasing)
        take(round, lane: 0)
        lookOut { working.load(ordering: .acquiring) <= 0 }
        waitForHelpers()
        condition.withLock { state.round = nil }
    }

    /// Takes blocks until none is left.
    private func take(_ round: Round, lane: Int) {
        while true {
            let block = next.add(1, ordering: .relaxed).oldValue
            guard block < round.count else { return }
            round.body(block, lane)
        }
    }

    /// Returns when `isTime`, or when it is better to sleep.
    private func lookOut(_ isTime: () -> Bool) {
        for _ in 0..<Self.looks {
            if isTime() { return }
            tessera_pause()
        }
    }

    private func waitForHelpers() {
        condition.withLock {
            while state.busy > 0 { condition.wait() }
        }
    }

    /// Says that a helper has nothing to do.
    private func report() {
        condition.withLock {
            state.busy -= 1
            if state.busy == 0 { condition.broadcast() }
        }
        working.subtract(1, ordering: .releasing)
    }

    /// A helper's life: report, sleep until the next round, take blocks, report again.
    private func help(lane: Int) {
        var seen = 0
        while true {
            report()
            lookOut { announced.load(ordering: .acquiring) != seen }
            let round: Round? = condition.withLock {
                while state.number == seen && !state.stopping { condition.wait() }
                seen = state.number
                return state.stopping ? nil : state.round
            }
            guard let round else { break }
            take(round, lane: lane)
        }
        report()
    }
}

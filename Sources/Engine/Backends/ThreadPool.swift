import CKernels
import Foundation
import Synchronization

/// A fixed set of threads that share numbered blocks of work.
///
/// The caller is one of them: a pool of one starts none. Any thread may take any block, so a block
/// must not depend on who computes it; then results are the same bits for every number of threads.
///
/// `@unchecked Sendable`: `state` is read and written only under `condition`; a round's body is called
/// only between the start of `run` and its return, which waits for every helper.
package final class ThreadPool: @unchecked Sendable {
    /// One round of blocks. The body is kept alive by the caller of `run`, which outlives the round.
    private struct Round {
        let count: Int
        let body: (_ block: Int, _ lane: Int) -> Void
    }

    private struct State {
        var round: Round?
        var number = 0
        var busy = 0
        var stopping = false
    }

    /// Threads that compute, the caller among them. `lane` in `run` is below this.
    package let lanes: Int
    private let condition = NSCondition()
    private var state = State()
    private let next = Atomic<Int>(0)
    private var threads: [Thread] = []

    /// Starts `threads` − 1 threads, which end with the pool.
    package init(threads count: Int) {
        precondition(count > 0, "\(count) threads")
        lanes = count
        for lane in 1..<count {
            let thread = Thread { [unowned self] in
                tessera_name_thread("tessera-math-\(lane)")
                self.help(lane: lane)
            }
            thread.stackSize = 4 << 20
            threads.append(thread)
        }
        condition.withLock { state.busy = threads.count }
        for thread in threads { thread.start() }
        waitForHelpers()
    }

    deinit {
        condition.withLock {
            state.stopping = true
            state.busy = threads.count
            condition.broadcast()
        }
        waitForHelpers()
    }

    /// Calls `body` once for each block in `0 ..< count` and returns when all are done.
    package func run(_ count: Int, _ body: (_ block: Int, _ lane: Int) -> Void) {
        guard lanes > 1 && count > 1 else {
            for block in 0..<count { body(block, 0) }
            return
        }
        withoutActuallyEscaping(body) { body in
            let round = Round(count: count, body: body)
            next.store(0, ordering: .relaxed)
            condition.withLock {
                state.round = round
                state.number += 1
                state.busy = threads.count
                condition.broadcast()
            }
            take(round, lane: 0)
            waitForHelpers()
            condition.withLock { state.round = nil }
        }
    }

    /// Takes blocks until none is left.
    private func take(_ round: Round, lane: Int) {
        while true {
            let block = next.add(1, ordering: .relaxed).oldValue
            guard block < round.count else { return }
            round.body(block, lane)
        }
    }

    private func waitForHelpers() {
        condition.withLock {
            while state.busy > 0 { condition.wait() }
        }
    }

    /// A helper's life: report, sleep until the next round, take blocks, report again.
    private func help(lane: Int) {
        var seen = 0
        while true {
            let round: Round? = condition.withLock {
                state.busy -= 1
                if state.busy == 0 { condition.broadcast() }
                while state.number == seen && !state.stopping { condition.wait() }
                seen = state.number
                return state.stopping ? nil : state.round
            }
            guard let round else { break }
            take(round, lane: lane)
        }
        condition.withLock {
            state.busy -= 1
            if state.busy == 0 { condition.broadcast() }
        }
    }
}

import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// The workers of the loaded model, shared by concurrent renders. A render of another model waits until those have
/// ended; later renders queue behind it, so that it gets its turn.
///
/// `@unchecked Sendable`: all mutable state is accessed only while holding `condition`'s lock. A `Mutex` has no condition
/// variable to wait on.
final class WorkerPool: @unchecked Sendable {
    private struct Held {
        let identity: ModelIdentity
        let workers: Rendering.Workers
    }

    private let condition = MonotonicCondition()
    private var held: Held?
    /// Number of renders that use the workers.
    private var users = 0
    /// Whether the workers failed and must be restarted once nobody uses them.
    private var isBroken = false
    /// Tickets of waiting renders, the next one first.
    private var queue: [Int] = []
    private var lastTicket = 0

    /// An opening that shares workers between renders.
    ///
    /// - Parameter open: starts workers or waits for them
    /// - Returns: an opening whose workers stay when the render ends
    func opening(_ open: @escaping Rendering.Opening) -> Rendering.Opening {
        { [self] session, identity, logger, cancellation in
            let ticket = enter()
            defer { leave(ticket) }
            if let workers = try wait(ticket, for: identity, cancellation) { return workers }
            // First in the queue and nobody uses the workers, so they can be replaced without the lock.
            stopHeld()
            let workers = try open(session, identity, logger, cancellation)
            return condition.withLock {
                (held, isBroken, users) = (Held(identity: identity, workers: workers), false, 1)
                return shared(workers)
            }
        }
    }

    /// Whether there are workers and they have not failed.
    var isHolding: Bool { condition.withLock { held != nil && !isBroken } }

    /// Marks the workers as failed, so that the next render gets new ones.
    func abandon() { condition.withLock { isBroken = true } }

    /// Stops the workers. Nobody may be using them.
    func stop() { stopHeld() }

    private func enter() -> Int {
        condition.withLock {
            lastTicket += 1
            queue.append(lastTicket)
            return lastTicket
        }
    }

    private func leave(_ ticket: Int) {
        condition.withLock {
            queue.removeAll { $0 == ticket }
            condition.broadcast()
        }
    }

    /// Waits for a render's turn.
    ///
    /// - Returns: existing workers; nil if the render has to start its own
    /// - Throws: `RenderCancelled`
    private func wait(
        _ ticket: Int,
        for identity: ModelIdentity,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers? {
        try condition.withLock {
            while true {
                guard !cancellation.isCancelled else { throw RenderCancelled() }
                if queue.first == ticket {
                    if let held, held.identity == identity, !isBroken {
                        users += 1
                        return shared(held.workers)
                    }
                    if users == 0 { return nil }
                }
                // Poll, because cancellation does not signal the condition.
                _ = condition.wait(within: .milliseconds(100))
            }
        }
    }

    /// The same workers for one render, which must not stop them.
    private func shared(_ workers: Rendering.Workers) -> Rendering.Workers {
        var shared = Rendering.Workers(
            cluster: workers.cluster,
            stop: { [self] in
                condition.withLock {
                    users -= 1
                    if users == 0 { workers.rest() }
                    condition.broadcast()
                }
            },
            prepare: workers.prepare
        )
        (shared.note, shared.summary) = (workers.note, workers.summary)
        return shared
    }

    private func stopHeld() {
        let old = condition.withLock {
            defer { held = nil }
            return held
        }
        old?.workers.stop()
    }
}

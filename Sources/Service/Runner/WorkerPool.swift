import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// The workers of the model that is loaded, shared by the renders that run at once. A render of another model waits until
/// those have ended; whoever comes later waits behind it, so that it gets its turn.
///
/// `@unchecked Sendable`: all state is only touched under `condition`. A `Mutex` could guard it, but not be waited for.
final class WorkerPool: @unchecked Sendable {
    private struct Held {
        let identity: ModelIdentity
        let workers: Rendering.Workers
    }

    private let condition = MonotonicCondition()
    private var held: Held?
    /// Renders that use them.
    private var users = 0
    /// Whether they failed, and are started again once nobody uses them.
    private var isBroken = false
    /// Renders that wait, the first in front.
    private var queue: [Int] = []
    private var lastTicket = 0

    /// An opening that shares workers.
    ///
    /// - Parameter open: starts or awaits workers
    /// - Returns: an opening whose workers go on when the render stops
    func opening(_ open: @escaping Rendering.Opening) -> Rendering.Opening {
        { [self] session, identity, logger, cancellation in
            let ticket = enter()
            defer { leave(ticket) }
            if let workers = try wait(ticket, for: identity, cancellation) { return workers }
            // Alone in front of the queue, and nobody uses any: they can be replaced without the lock.
            stopHeld()
            let workers = try open(session, identity, logger, cancellation)
            return condition.withLock {
                (held, isBroken, users) = (Held(identity: identity, workers: workers), false, 1)
                return shared(workers)
            }
        }
    }

    /// Whether there are workers that have not failed.
    var isHolding: Bool { condition.withLock { held != nil && !isBroken } }

    /// Their renders failed for a reason of the workers': the next one gets new ones.
    func abandon() { condition.withLock { isBroken = true } }

    /// Stops them. Nobody uses them any more.
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

    /// Waits for the turn of a render.
    ///
    /// - Returns: workers that are there; nil if the render has to start its own
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
                // Nothing wakes it when the render is cancelled.
                _ = condition.wait(within: .milliseconds(100))
            }
        }
    }

    /// The same workers for one render, which does not stop them.
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

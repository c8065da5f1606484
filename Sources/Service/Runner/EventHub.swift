import Engine
import Synchronization

/// Passes events of jobs to the clients that watch them. A client that reads slowly misses progress, but never holds
/// anybody up.
package final class EventHub: Sendable {
    package struct Event: Sendable {
        /// Counted from 1 in this process.
        package let number: Int
        /// Nil for the service itself.
        package let job: String?
        /// Whose job it was, where it can no longer be looked up.
        package var owner: String?
        package let kind: Kind
        package let data: JSON
    }

    package enum Kind: String, CaseIterable, Sendable {
        /// A job has another state; the data is the job.
        case state
        /// A running job has got further; the data is its progress.
        case progress
        /// The picture of a finished phase is stored; the data is its number.
        case phase
        /// The views of a running job's step have changed, or its picture has. Without data: each reader gets what is
        /// true when the event is written, so that a slow one costs no memory.
        case views
        /// What the workers have done; without data, as above.
        case workers
        /// A waiting job has another place in the queue.
        case queue
        /// A finished job and its picture are gone.
        case deleted
        /// Nothing happened for a while: keeps the connection open.
        case alive

        /// Whether only those get it who asked for views.
        var isOfViews: Bool { self == .views || self == .workers }
    }

    private struct Watcher {
        let job: String?
        let hasViews: Bool
        /// Whether it is a client, of which there may be `limit`.
        let isClient: Bool
        let continuation: AsyncStream<Event>.Continuation
    }

    private struct State {
        var watchers: [Int: Watcher] = [:]
        var clients: Int { watchers.values.count { $0.isClient } }
        var events = 0
        var nextWatcher = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let limit: Int

    /// Events that wait for one client.
    private static let maxWaiting = 64

    /// - Parameter limit: of clients that watch at once
    package init(limit: Int) { self.limit = limit }

    /// Watches a job, or all of them.
    ///
    /// - Parameters:
    ///   - job: nil for all
    ///   - hasViews: whether events of views are among them
    ///   - isClient: false for the service's own parts, which are not counted
    /// - Returns: its events from now on, until the caller drops them or the service stops
    /// - Throws: `LimitExceeded` when too many clients watch
    package func events(
        of job: String?,
        hasViews: Bool = false,
        isClient: Bool = true
    ) throws(LimitExceeded) -> AsyncStream<Event> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Event.self,
            bufferingPolicy: .bufferingNewest(Self.maxWaiting)
        )
        let id: Int? = state.withLock { state in
            guard !isClient || state.clients < limit else { return nil }
            state.nextWatcher += 1
            if state.isClosed {
                continuation.finish()
            } else {
                state.watchers[state.nextWatcher] = Watcher(
                    job: job,
                    hasViews: hasViews,
                    isClient: isClient,
                    continuation: continuation
                )
            }
            return state.nextWatcher
        }
        guard let id else { throw LimitExceeded("streams", limit: limit, found: limit + 1, .later) }
        continuation.onTermination = { [weak self] _ in
            // Not in this call: it may come from a `yield` or `finish` under the lock.
            self?.forget(id)
        }
        return stream
    }

    private func forget(_ id: Int) { state.withLock { $0.watchers[id] = nil } }

    /// Number of clients that watch.
    package var watchers: Int { state.withLock { $0.clients } }

    /// Whether anybody watches views.
    package var watchesViews: Bool {
        state.withLock { $0.watchers.values.contains(where: \.hasViews) }
    }

    /// Tells everybody who watches the job.
    ///
    /// - Parameters:
    ///   - kind: of the event
    ///   - job: nil for the service's own events
    ///   - owner: whose job it was, where it can no longer be looked up
    ///   - data: made only if somebody watches
    package func publish(
        _ kind: Kind,
        job: String?,
        owner: String? = nil,
        _ data: @autoclosure () -> JSON
    ) {
        let (number, watchers) = state.withLock { state in
            state.events += 1
            return (state.events, Array(state.watchers.values))
        }
        let concerned = watchers.filter {
            ($0.job == nil || job == nil || $0.job == job) && ($0.hasViews || !kind.isOfViews)
        }
        guard !concerned.isEmpty else { return }
        let event = Event(number: number, job: job, owner: owner, kind: kind, data: data())
        for watcher in concerned { watcher.continuation.yield(event) }
    }

    /// Ends all streams; later ones end at once.
    package func close() {
        let watchers = state.withLock { state in
            state.isClosed = true
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.continuation.finish() }
    }
}

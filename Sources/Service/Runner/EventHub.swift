import Engine
import Synchronization

/// Distributes events of jobs to the clients that watch them. A slow client misses progress events, but never blocks
/// anybody.
package final class EventHub: Sendable {
    package struct Event: Sendable {
        /// Number of the event, from 1 in this process.
        package let number: Int
        /// The job; nil for events of the service itself.
        package let job: String?
        /// The job's owner, if it can no longer be looked up.
        package var owner: String?
        package let kind: Kind
        package let data: JSON
    }

    package enum Kind: String, CaseIterable, Sendable {
        /// The state of a job has changed; the data is the new state.
        case state
        /// A running job has made progress; the data is its progress.
        case progress
        /// The picture of a finished phase is stored; the data is its number.
        case phase
        /// The views or the preview of a running job have changed. Has no data: each reader receives the current state
        /// when the event is written, so that a slow one takes up no memory.
        case views
        /// The workers' statistics have changed; has no data either.
        case workers
        /// The position of a waiting job has changed.
        case queue
        /// A finished job and its picture were deleted.
        case deleted
        /// Sent regularly to keep connections open.
        case alive

        /// Whether only watchers that asked for views receive it.
        var isOfViews: Bool { self == .views || self == .workers }
    }

    private struct Watcher {
        let job: String?
        let hasViews: Bool
        /// Whether it is a client and counts towards `limit`.
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

    /// Maximum number of events that are queued for one client.
    private static let maxWaiting = 64

    /// - Parameter limit: maximum number of clients that watch at a time
    package init(limit: Int) { self.limit = limit }

    /// Subscribes to the events of a job, or of all jobs.
    ///
    /// - Parameters:
    ///   - job: the job; nil for all jobs
    ///   - hasViews: whether to include events of views
    ///   - isClient: false for parts of the service itself, which do not count towards the limit
    /// - Returns: the events from now on, until the caller drops the stream or the service stops
    /// - Throws: `LimitExceeded` if too many clients are watching
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
            self?.forget(id)
        }
        return stream
    }

    private func forget(_ id: Int) { state.withLock { $0.watchers[id] = nil } }

    /// Number of clients that are watching.
    package var watchers: Int { state.withLock { $0.clients } }

    /// Whether anybody is watching views.
    package var watchesViews: Bool {
        state.withLock { $0.watchers.values.contains(where: \.hasViews) }
    }

    /// Sends an event to everybody who watches the job.
    ///
    /// - Parameters:
    ///   - kind: kind of the event
    ///   - job: the job; nil for events of the service itself
    ///   - owner: owner of the job, if it can no longer be looked up
    ///   - data: data of the event, evaluated only if somebody is watching
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

    /// Ends all streams; new ones end immediately.
    package func close() {
        let watchers = state.withLock { state in
            state.isClosed = true
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.continuation.finish() }
    }
}

import Foundation

/// A lock, and a condition that threads wait for. Waits with a limit are measured on the monotonic clock: `NSCondition`
/// measures them on the wall clock, and waits for an hour longer when that is set back by an hour.
///
/// `@unchecked Sendable`: both handles stay at one address as long as this object lives, and POSIX allows all threads to
/// use them.
package final class MonotonicCondition: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        var attributes = pthread_condattr_t()
        let codes = [
            pthread_mutex_init(lock, nil),
            pthread_condattr_init(&attributes),
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC),
            pthread_cond_init(condition, &attributes),
            pthread_condattr_destroy(&attributes),
        ]
        precondition(codes.allSatisfy { $0 == 0 }, "\(codes)")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(lock)
        condition.deallocate()
        lock.deallocate()
    }

    package func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return try body()
    }

    /// Wakes one thread that waits.
    package func signal() { pthread_cond_signal(condition) }

    /// Wakes all threads that wait.
    package func broadcast() { pthread_cond_broadcast(condition) }

    /// Waits for a signal; within `withLock` only. It may also return without one.
    package func wait() { pthread_cond_wait(condition, lock) }

    /// The same with a limit.
    ///
    /// - Returns: false when the time is over
    package func wait(within limit: Duration) -> Bool {
        guard limit > .zero else { return false }
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        // A year is as good as for ever, and does not overflow.
        let parts = min(limit, .seconds(365 * 86_400)).components
        end.tv_sec += Int(parts.seconds)
        end.tv_nsec += Int(parts.attoseconds / 1_000_000_000)
        if end.tv_nsec >= 1_000_000_000 {
            (end.tv_sec, end.tv_nsec) = (end.tv_sec + 1, end.tv_nsec - 1_000_000_000)
        }
        return pthread_cond_timedwait(condition, lock, &end) == 0
    }
}

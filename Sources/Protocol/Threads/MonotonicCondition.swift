import Foundation

/// A lock with a condition variable. Timeouts are measured on the monotonic clock: `NSCondition` uses the wall clock,
/// and waits an hour longer if that is set back by an hour.
///
/// `@unchecked Sendable`: both pointers are constant, and POSIX allows any thread to use the mutex and the condition
/// variable that they point to.
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

    /// Wakes one waiting thread.
    package func signal() { pthread_cond_signal(condition) }

    /// Wakes all waiting threads.
    package func broadcast() { pthread_cond_broadcast(condition) }

    /// Waits for a signal; only within `withLock`. It may also return without one (spurious wake-up).
    package func wait() { pthread_cond_wait(condition, lock) }

    /// Waits for a signal, with a timeout.
    ///
    /// - Returns: false if the timeout has expired
    package func wait(within limit: Duration) -> Bool {
        guard limit > .zero else { return false }
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        // A year is practically indefinite, and does not overflow.
        let parts = min(limit, .seconds(365 * 86_400)).components
        end.tv_sec += Int(parts.seconds)
        end.tv_nsec += Int(parts.attoseconds / 1_000_000_000)
        if end.tv_nsec >= 1_000_000_000 {
            (end.tv_sec, end.tv_nsec) = (end.tv_sec + 1, end.tv_nsec - 1_000_000_000)
        }
        return pthread_cond_timedwait(condition, lock, &end) == 0
    }
}

/// Decides which finished jobs are deleted. Pure.
package struct Retention: Equatable, Sendable {
    /// Seconds to keep a finished job; nil for no limit.
    package var age: Double?
    /// Maximum bytes of all finished pictures; nil for no limit.
    package var bytes: Int?

    package init(age: Double? = nil, bytes: Int? = nil) { (self.age, self.bytes) = (age, bytes) }

    /// A finished job.
    package struct Entry: Equatable, Sendable {
        package let id: String
        /// Seconds since 1970.
        package let finished: Double
        package let bytes: Int

        package init(id: String, finished: Double, bytes: Int) {
            (self.id, self.finished, self.bytes) = (id, finished, bytes)
        }
    }

    /// - Parameters:
    ///   - entries: all finished jobs
    ///   - now: seconds since 1970
    /// - Returns: the jobs to delete, the oldest first
    package func expired(_ entries: [Entry], now: Double) -> [String] {
        let sorted = entries.sorted { ($0.finished, $0.id) < ($1.finished, $1.id) }
        var total = sorted.reduce(0) { $0 + $1.bytes }
        var expired: [String] = []
        for entry in sorted {
            let isOld = age.map { now - entry.finished > $0 } ?? false
            // A job without a picture takes up no space.
            let isTooMuch = entry.bytes > 0 && (bytes.map { total > $0 } ?? false)
            guard isOld || isTooMuch else { continue }
            expired.append(entry.id)
            total -= entry.bytes
        }
        return expired
    }
}

/// Back-off before the next attempt after a failure that is not the job's fault. Pure.
package struct RetryDelay: Equatable, Sendable {
    private var failures = 0

    package init() {}

    /// Seconds to wait; doubles from one second to one minute.
    package mutating func next() -> Double {
        defer { failures += 1 }
        return min(60, Double(1 << min(failures, 6)))
    }

    package mutating func reset() { failures = 0 }
}

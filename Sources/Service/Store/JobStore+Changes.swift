import Engine
import Foundation
import GRDB

extension JobStore {
    /// Stores a job.
    ///
    /// - Parameters:
    ///   - draft: the checked submission
    ///   - limits: limits of the queue
    ///   - now: seconds since 1970
    /// - Returns: the job, and whether it is new; the same key and submission return the same job
    /// - Throws: `LimitExceeded`, `KeyReused`, `DatabaseError`
    package func submit(
        _ draft: JobDraft,
        limits: ServiceLimits,
        now: Double
    ) throws -> (job: Job, isNew: Bool) {
        try write { database in
            if let known = try Self.known(draft, database) { return (known, false) }
            let open = "state IN ('queued', 'running', 'paused')"
            let own =
                try Int.fetchOne(
                    database,
                    sql: "SELECT COUNT(*) FROM job WHERE user = ? AND \(open)",
                    arguments: [draft.user]
                ) ?? 0
            let all =
                try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM job WHERE \(open)") ?? 0
            try limits.check(own: own, all: all)
            func sum(_ what: String, _ states: String) throws -> Int {
                let sql = "SELECT SUM(\(what)) FROM job WHERE user = ? AND \(states)"
                return try Int.fetchOne(database, sql: sql, arguments: [draft.user]) ?? 0
            }
            try limits.check(
                pixels: draft.width * draft.height,
                queued: { try sum("width * height", open) },
                stored: { try sum("bytes", "state = 'done'") }
            )
            var job = Job(draft, now: now)
            try job.insert(database)
            return (job, true)
        }
    }

    /// The job that the user submitted with this key; nil if there is none.
    ///
    /// - Throws: `KeyReused` if the key was used for another submission
    package func known(user: String, key: String, digest: String) throws -> Job? {
        try write { try Self.known(user, key, digest, $0) }
    }

    private static func known(_ draft: JobDraft, _ database: Database) throws -> Job? {
        guard let key = draft.key else { return nil }
        return try known(draft.user, key, draft.digest, database)
    }

    private static func known(
        _ user: String,
        _ key: String,
        _ digest: String,
        _ database: Database
    ) throws -> Job? {
        let job = try Job.filter(Column("user") == user && Column("key") == key)
            .fetchOne(database)
        guard let job else { return nil }
        guard job.keyDigest == digest else { throw KeyReused(key: key, job: job.id) }
        return job
    }

    /// Chooses the next job and marks it as running.
    ///
    /// - Parameters:
    ///   - loaded: the weights that workers have loaded
    ///   - slot: what may be rendered alongside the running jobs
    ///   - now: seconds since 1970
    /// - Returns: nil if no waiting job may be rendered now
    /// - Throws: `DatabaseError`
    package func takeNext(
        loaded: String?,
        slot: RenderSlots.Slot = RenderSlots.Slot(),
        now: Double
    ) throws -> Job? {
        try write { database in
            let waiting = try Self.waiting(database, slot)
            var shares = try Self.shares(database)
            guard let choice = QueueOrder.next(waiting, loaded: loaded, shares: shares),
                var job = try Job.filter(Column("id") == choice.id).fetchOne(database)
            else { return nil }
            // It waits until the renders with other weights have ended, and nothing else is started meanwhile.
            guard slot.weights == nil || job.weights == slot.weights else { return nil }
            if let passed = choice.passedOver {
                try database.execute(
                    sql: "UPDATE job SET passed = passed + 1 WHERE id = ?",
                    arguments: [passed]
                )
            }
            // A resumed job was already charged.
            if job.starts == 0 {
                shares.charge(job.user, cost: Double(job.evaluations))
                try Self.store(shares, database)
            }
            (job.state, job.started, job.starts) = (.running, job.started ?? now, job.starts + 1)
            try job.update(database)
            return job
        }
    }

    /// The oldest waiting job of each user and weights with the highest priority; `QueueOrder` can choose no other.
    ///
    /// In the slot for small pictures, only small jobs with the loaded weights count, whoever's turn it is.
    private static func waiting(
        _ database: Database,
        _ slot: RenderSlots.Slot
    ) throws -> [QueueOrder.Entry] {
        var (condition, values): (String, [(any DatabaseValueConvertible)?]) = ("", [])
        if let most = slot.most {
            condition = "AND evaluations <= ? AND weights = ?"
            values = [most, slot.weights]
        }
        // With MIN, SQLite takes the other columns from the row with the minimum.
        return try Row.fetchAll(
            database,
            sql: """
                SELECT id, MIN(COALESCE(position, number)) AS number, user, priority, weights, passed FROM job
                WHERE state = 'queued' \(condition) AND priority =
                    (SELECT MAX(priority) FROM job WHERE state = 'queued' \(condition))
                GROUP BY user, weights
                """,
            arguments: StatementArguments(values + values)
        ).map { row in
            QueueOrder.Entry(
                id: row["id"],
                number: row["number"],
                user: row["user"],
                priority: row["priority"],
                model: row["weights"],
                passed: row["passed"]
            )
        }
    }

    /// The user name under which the clock is stored; no user has it.
    private static let clockName = ""

    private static func shares(_ database: Database) throws -> FairShare {
        var ends: [String: Double] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT user, finish FROM share") {
            ends[row["user"]] = row["finish"]
        }
        let clock = ends.removeValue(forKey: clockName) ?? 0
        return FairShare(clock: clock, ends: ends)
    }

    private static func store(_ shares: FairShare, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM share")
        for (user, end) in shares.ends.merging([clockName: shares.clock], uniquingKeysWith: { $1 })
        {
            try database.execute(
                sql: "INSERT INTO share (user, finish) VALUES (?, ?)",
                arguments: [user, end]
            )
        }
    }

    /// How a render has ended.
    package enum Ending: Equatable, Sendable {
        case done(bytes: Int)
        case failed(String)
        /// It could not start, for a reason outside the job that affects no other job: it is paused until a user
        /// resumes it.
        case held(String)
        /// It was stopped: the job changes to the requested state, or else returns to the queue.
        case stopped
    }

    /// Stores how the render of a job has ended.
    ///
    /// - Returns: the updated job; nil if it has been deleted
    package func ended(_ id: String, _ ending: Ending, now: Double) throws -> Job? {
        try write { database in
            guard var job = try Job.filter(Column("id") == id).fetchOne(database) else {
                return nil
            }
            switch ending {
            case .done(let bytes):
                (job.state, job.bytes, job.finished, job.error) = (.done, bytes, now, nil)
            case .failed(let reason):
                (job.state, job.error, job.finished) = (.failed, reason, now)
            case .held(let reason):
                Self.stop(&job, now: now)
                if job.state == .queued { (job.state, job.error) = (.paused, reason) }
            case .stopped: Self.stop(&job, now: now)
            }
            job.intent = nil
            try job.update(database)
            return job
        }
    }

    private static func stop(_ job: inout Job, now: Double) {
        switch job.intent {
        case .cancel: (job.state, job.finished) = (.cancelled, now)
        case .pause: job.state = .paused
        case .resume, nil: job.state = .queued
        }
    }

    /// Applies a change that a user requested.
    ///
    /// - Returns: the updated job and the effect; nil if the job does not exist
    package func change(
        _ id: String,
        _ change: JobRequestedChange,
        now: Double
    ) throws -> (job: Job, effect: JobRequestedChange.Effect)? {
        try write { database in
            guard var job = try Job.filter(Column("id") == id).fetchOne(database) else {
                return nil
            }
            let effect = change.effect(on: job.state)
            switch effect {
            case .becomes(let state):
                job.state = state
                if state.isFinished { job.finished = now }
            case .stopsRender:
                // Cancelling takes precedence over pausing.
                if job.intent != .cancel { job.intent = change }
            case .none where change == .resume && job.intent == .pause: job.intent = nil
            case .none, .refused: break
            }
            try job.update(database)
            return (job, effect)
        }
    }

    /// - Returns: the updated job; nil if the job does not exist
    package func setPriority(_ id: String, _ priority: Int) throws -> Job? {
        try write { database in
            guard var job = try Job.filter(Column("id") == id).fetchOne(database) else {
                return nil
            }
            job.priority = priority
            try job.update(database)
            return job
        }
    }

    /// Deletes a finished job from the database.
    ///
    /// - Returns: whether the job existed and was finished
    package func delete(_ id: String) throws -> Bool {
        try write { database in
            try database.execute(
                sql: """
                    DELETE FROM job WHERE id = ? AND state IN ('done', 'failed', 'cancelled')
                    """,
                arguments: [id]
            )
            return database.changesCount == 1
        }
    }

    /// How often the service may end while rendering a job before the job is considered the cause.
    package static let maxCrashes = 5

    /// Called after a start: jobs that were running when the service ended return to the queue, or change to the
    /// requested state.
    ///
    /// - Parameters:
    ///   - now: seconds since 1970
    ///   - hasPicture: returns the size in bytes of a job's complete picture; nil if there is none
    /// - Returns: the updated jobs
    /// - Throws: `DatabaseError`
    package func recover(
        now: Double,
        hasPicture: (Job) -> Int?
    ) throws -> [Job] {
        try write { database in
            var jobs = try Job.filter(Column("state") == JobState.running.rawValue)
                .fetchAll(database)
            for index in jobs.indices {
                jobs[index].crashes += 1
                if let bytes = hasPicture(jobs[index]) {
                    // The render had finished, and only the record of that was lost.
                    jobs[index].state = .done
                    (jobs[index].bytes, jobs[index].finished) = (bytes, now)
                } else if jobs[index].crashes >= Self.maxCrashes, jobs[index].intent == nil {
                    jobs[index].state = .failed
                    jobs[index].finished = now
                    jobs[index].error =
                        "the service ended \(jobs[index].crashes) times while it rendered this job"
                } else {
                    Self.stop(&jobs[index], now: now)
                }
                jobs[index].intent = nil
                try jobs[index].update(database)
            }
            return jobs
        }
    }
}

/// A client reused the key of one submission for another.
package struct KeyReused: Error, Equatable, CustomStringConvertible {
    let key: String
    let job: String

    package var description: String {
        "the idempotency key was used for another submission, job \(job). Use a new key for each"
    }
}

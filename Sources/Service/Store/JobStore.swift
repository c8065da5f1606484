import Engine
import Foundation
import GRDB
import Glibc

/// The jobs, stored in SQLite. Every change is a transaction that is on disk before the request is answered.
package final class JobStore: Sendable {
    private let pool: DatabasePool

    /// Opens the database, creating or migrating it.
    ///
    /// - Parameter path: path of the database file
    /// - Throws: `DatabaseError`, or `InputError` if the file is not a database or was written by a newer version of
    ///   Tessera
    package convenience init(path: String) throws {
        do {
            try Self.makePrivate(path)
            try self.init(opening: path)
        } catch let error as DatabaseError
            where [.SQLITE_NOTADB, .SQLITE_CORRUPT, .SQLITE_CANTOPEN].contains(error.resultCode)
        {
            throw InputError(
                path,
                "it cannot be read as a database: \(error.message ?? "unknown reason")",
                fix:
                    "Put a copy in its place, or move it away: jobs in it are lost, their pictures are not"
            )
        }
    }

    /// Prevents other users of this machine from reading prompts. SQLite gives its auxiliary files the same mode.
    private static func makePrivate(_ path: String) throws(InputError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, fchmod(descriptor, 0o600) == 0 else {
            let code = errno
            if descriptor >= 0 { close(descriptor) }
            throw InputError(
                path,
                "it cannot be opened for writing",
                code: code,
                fix: "Let this user write there, or choose another folder with --data"
            )
        }
        close(descriptor)
    }

    private init(opening path: String) throws {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // A committed job must also survive a power failure.
            try database.execute(sql: "PRAGMA synchronous = FULL")
        }
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(10)
        pool = try DatabasePool(path: path, configuration: configuration)
        let migrator = Self.migrator
        let isNewer = try pool.read { try migrator.hasBeenSuperseded($0) }
        guard !isNewer else {
            throw InputError(
                path,
                "it was written by a newer version of Tessera",
                fix: "Use that version, or another folder"
            )
        }
        try migrator.migrate(pool)
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 jobs") { database in
            try database.create(table: "job") { table in
                table.autoIncrementedPrimaryKey("number")
                table.column("id", .text).notNull().unique()
                table.column("user", .text).notNull()
                table.column("state", .text).notNull()
                table.column("priority", .integer).notNull()
                table.column("model", .text).notNull()
                table.column("request", .text).notNull()
                table.column("width", .integer).notNull()
                table.column("height", .integer).notNull()
                table.column("evaluations", .integer).notNull()
                table.column("key", .text)
                table.column("keyDigest", .text)
                table.column("intent", .text)
                table.column("passed", .integer).notNull()
                table.column("starts", .integer).notNull()
                table.column("crashes", .integer).notNull()
                table.column("created", .double).notNull()
                table.column("started", .double)
                table.column("finished", .double)
                table.column("error", .text)
                table.column("bytes", .integer)
                // NULLs are distinct: jobs without a key do not collide.
                table.uniqueKey(["user", "key"])
            }
            try database.create(index: "jobByState", on: "job", columns: ["state", "number"])
            try database.create(index: "jobByUser", on: "job", columns: ["user", "state"])
            try database.create(table: "share") { table in
                table.primaryKey("user", .text)
                table.column("finish", .double).notNull()
            }
        }
        migrator.registerMigration("2 indexes of lists and turns") { database in
            // For pages of one user's jobs, and the oldest job of each user and model.
            try database.drop(index: "jobByUser")
            try database.create(index: "jobByUser", on: "job", columns: ["user", "number"])
            try database.create(
                index: "jobByUserState",
                on: "job",
                columns: ["user", "state", "number"]
            )
            try database.create(
                index: "jobByTurn",
                on: "job",
                columns: ["state", "priority", "user", "model", "number"]
            )
        }
        migrator.registerMigration("3 tokens") { database in
            try database.create(table: "token") { table in
                table.primaryKey("id", .text)
                table.column("user", .text).notNull()
                table.column("scopes", .text).notNull()
                table.column("note", .text).notNull()
                table.column("hash", .text).notNull()
                table.column("created", .double).notNull()
                table.column("expires", .double)
            }
        }
        migrator.registerMigration("4 limits of tokens") { database in
            try database.alter(table: "token") { $0.add(column: "quota", .text) }
        }
        migrator.registerMigration("5 places in the queue") { database in
            try database.alter(table: "job") { $0.add(column: "position", .integer) }
        }
        migrator.registerMigration("6 weights of jobs") { database in
            try database.alter(table: "job") {
                $0.add(column: "weights", .text).notNull().defaults(to: "")
            }
            // A guess for existing jobs: at worst, workers reload once more.
            try database.execute(sql: "UPDATE job SET weights = model")
            try database.drop(index: "jobByTurn")
            try database.execute(
                sql: """
                    CREATE INDEX jobByTurn
                    ON job (state, priority, user, weights, COALESCE(position, number))
                    """
            )
        }
        return migrator
    }

    // Reading.

    /// - Returns: nil if the job is unknown
    package func job(_ id: String) throws -> Job? {
        try pool.read { try Job.filter(Column("id") == id).fetchOne($0) }
    }

    /// Lists jobs, newest first.
    ///
    /// - Parameters:
    ///   - user: owner of the jobs; nil for all users
    ///   - state: only jobs in this state; nil for all states
    ///   - before: only jobs with a smaller number; nil for no bound
    ///   - limit: maximum number of jobs
    /// - Returns: the jobs
    /// - Throws: `DatabaseError`
    package func jobs(
        of user: String? = nil,
        state: JobState? = nil,
        before: Int64? = nil,
        limit: Int
    ) throws -> [Job] {
        var request = Job.order(Column("number").desc).limit(limit)
        if let user { request = request.filter(Column("user") == user) }
        if let state { request = request.filter(Column("state") == state.rawValue) }
        if let before { request = request.filter(Column("number") < before) }
        return try pool.read { [request] in try request.fetchAll($0) }
    }

    /// Number of jobs in each state.
    package func counts() throws -> [JobState: Int] {
        try pool.read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT state, COUNT(*) AS n FROM job GROUP BY state"
            )
            return Dictionary(
                rows.compactMap { row in
                    JobState(rawValue: row["state"]).map { ($0, row["n"] as Int) }
                },
                uniquingKeysWith: { first, _ in first }
            )
        }
    }

    /// When the oldest queued job was submitted; nil if the queue is empty.
    package func oldestQueued() throws -> Double? {
        try pool.read {
            try Double.fetchOne($0, sql: "SELECT MIN(created) FROM job WHERE state = 'queued'")
        }
    }

    /// Finished jobs, for retention.
    package func finished() throws -> [Retention.Entry] {
        try pool.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT id, finished, bytes FROM job WHERE state IN ('done', 'failed', 'cancelled')
                    """
            ).map { row in
                Retention.Entry(
                    id: row["id"],
                    finished: row["finished"] ?? 0,
                    bytes: row["bytes"] ?? 0
                )
            }
        }
    }

    /// The ids of all jobs.
    package func ids() throws -> Set<String> {
        try pool.read { Set(try String.fetchAll($0, sql: "SELECT id FROM job")) }
    }

    /// Ids of stored pictures that jobs refer to.
    package func usedInputs() throws -> Set<String> {
        try pool.read { database in
            let ids = try String.fetchAll(
                database,
                sql: """
                    SELECT * FROM (
                        SELECT json_extract(request, '$.initImage') AS input FROM job
                        UNION SELECT json_extract(request, '$.mask') AS input FROM job
                    ) WHERE input IS NOT NULL
                    """
            )
            return Set(ids)
        }
    }

    /// Runs a read-only transaction.
    func read<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try pool.read(body)
    }

    // Changes.

    /// Runs a change as one transaction.
    func write<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try pool.write(body)
    }
}

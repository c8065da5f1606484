import Engine
import Foundation
import GRDB

extension JobStore {
    /// Puts a waiting job before another one of its user and priority, or last.
    ///
    /// - Parameters:
    ///   - id: of the job
    ///   - target: the job that it goes before; nil puts it last
    /// - Returns: the job as it is now; nil when one of them does not wait, or they have not the same user and priority
    /// - Throws: `DatabaseError`
    package func move(_ id: String, before target: String?) throws -> Job? {
        try write { database in
            guard let job = try Job.filter(Column("id") == id).fetchOne(database) else {
                return nil
            }
            let waiting = try Row.fetchAll(
                database,
                sql: """
                    SELECT id, COALESCE(position, number) AS place FROM job
                    WHERE user = ? AND priority = ? AND state IN ('queued', 'paused')
                    """,
                arguments: [job.user, job.priority]
            ).map { QueueMove.Entry(id: $0["id"], place: $0["place"]) }
            guard let changed = QueueMove.move(id, before: target, in: waiting) else { return nil }
            for entry in changed {
                try database.execute(
                    sql: "UPDATE job SET position = ? WHERE id = ?",
                    arguments: [entry.place, entry.id]
                )
            }
            return try Job.filter(Column("id") == id).fetchOne(database)
        }
    }
}

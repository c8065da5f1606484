import Engine
import Foundation
import GRDB

extension JobStore {
    /// Moves a waiting job before another one of the same user and priority, or to the end.
    ///
    /// - Parameters:
    ///   - id: id of the job
    ///   - target: the job to put it before; nil puts it last
    /// - Returns: the updated job; nil if one of them is not waiting, or they differ in user or priority
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

/// Moves a job among its user's waiting jobs. Pure.
///
/// Only these jobs exchange positions: the turns of other users do not change, and a new job still comes last.
package enum QueueMove {
    package struct Entry: Equatable, Sendable {
        package let id: String
        /// Position; smaller ones go first.
        package let place: Int64

        package init(id: String, place: Int64) { (self.id, self.place) = (id, place) }
    }

    /// - Parameters:
    ///   - id: id of the job to move
    ///   - target: the job to put it before; nil puts it last
    ///   - waiting: waiting jobs of the same user and priority, in any order
    /// - Returns: the jobs whose position changes; nil if one of the two is not waiting
    package static func move(
        _ id: String,
        before target: String?,
        in waiting: [Entry]
    ) -> [Entry]? {
        let old = waiting.sorted { $0.place < $1.place }
        var ids = old.map(\.id)
        guard let from = ids.firstIndex(of: id) else { return nil }
        if let target {
            guard target != id else { return [] }
            ids.remove(at: from)
            guard let to = ids.firstIndex(of: target) else { return nil }
            ids.insert(id, at: to)
        } else {
            ids.append(ids.remove(at: from))
        }
        return zip(ids, old).filter { $0 != $1.id }.map { Entry(id: $0, place: $1.place) }
    }
}

/// Moves a job among its user's waiting jobs. Pure.
///
/// Only these jobs exchange places: the turns of other users stay as they are, and a new job still comes last.
package enum QueueMove {
    package struct Entry: Equatable, Sendable {
        package let id: String
        /// Smaller goes first.
        package let place: Int64

        package init(id: String, place: Int64) { (self.id, self.place) = (id, place) }
    }

    /// - Parameters:
    ///   - id: of the job that moves
    ///   - target: the job that it goes before; nil puts it last
    ///   - waiting: of the same user and priority, in any order
    /// - Returns: the jobs whose place changes; nil when one of the two does not wait
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

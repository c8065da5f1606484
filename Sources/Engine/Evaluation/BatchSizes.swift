/// How many views a worker predicts together, found by measuring. For each shape of view, the size is doubled as long
/// as that raises the throughput (views per second) by at least a twentieth. Pure: times in, sizes out.
package struct BatchSizes: Sendable {
    /// Shape of a view; views of the same shape can share a batch.
    package struct Shape: Hashable, Sendable {
        package let latent: [Int]
        package let evaluations: Int

        /// - Returns: nil if the unit is not a view
        package init?(_ unit: WorkUnit) {
            guard case .predict(let view) = unit.work else { return nil }
            (latent, evaluations) = (unit.input.shape, view.conditioning.count)
        }
    }

    /// Maximum number of views that are predicted together.
    package static let most = 32
    /// Minimum gain in throughput for which a doubled size is kept.
    private static let growth = 1.05

    private struct Search: Sendable {
        var size = 1
        var isSettled = false
        /// Batches of the current size so far; the first one is slower and does not count.
        var batches = 0
        /// Best throughput of the current size and of the one before, in views per second.
        var best = 0.0
        var before = 0.0
    }

    private let mayGrow: Bool
    private var limit: Int
    private var searches: [Shape: Search] = [:]

    /// - Parameters:
    ///   - limit: the maximum size
    ///   - isMeasured: whether to begin with one view and measure; otherwise every batch has the maximum size
    package init(limit: Int = 1, isMeasured: Bool = false) {
        self.limit = max(1, min(limit, Self.most))
        mayGrow = isMeasured
    }

    /// The batch size for views of a shape.
    package func size(of shape: Shape) -> Int {
        mayGrow ? min(limit, searches[shape]?.size ?? 1) : limit
    }

    /// The largest size in use; units need to be gathered only up to this number.
    package var largest: Int {
        mayGrow ? min(limit, searches.values.map(\.size).max() ?? 1) : limit
    }

    /// Records the time that a batch took.
    package mutating func note(_ shape: Shape, views: Int, seconds: Double) {
        guard mayGrow else { return }
        var search = searches[shape] ?? Search()
        guard !search.isSettled, views == search.size, seconds > 0 else { return }
        search.batches += 1
        if search.batches > 1 { search.best = max(search.best, Double(views) / seconds) }
        if search.batches >= 3 { Self.decide(&search, limit) }
        searches[shape] = search
    }

    private static func decide(_ search: inout Search, _ limit: Int) {
        if search.best < growth * search.before {
            search.size /= 2
            search.isSettled = true
        } else if 2 * search.size > limit {
            search.isSettled = true
        } else {
            search = Search(size: 2 * search.size, before: search.best)
        }
    }

    /// Records that batches of more than `views` do not fit in memory.
    package mutating func restrict(to views: Int) { limit = max(1, min(limit, views)) }
}

extension WorkUnit {
    /// Whether it can be predicted in the same batch as another view.
    package func sharesBatch(with other: WorkUnit) -> Bool {
        guard case .predict(let view) = work, case .predict(let second) = other.work,
            let shape = BatchSizes.Shape(self)
        else { return false }
        return shape == BatchSizes.Shape(other) && view.timestep == second.timestep
            && view.guidance == second.guidance
            && view.conditioning[0].timeIDs?.count == second.conditioning[0].timeIDs?.count
    }
}

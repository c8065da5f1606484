import Engine

/// Finds answers whose mean or deviation is far from what is expected. A window that overlaps others is compared with
/// the nearest of their values, because a picture changes little between them; any other view, with the whole step.
package enum Oddness {
    /// Statistics of an answer.
    package struct Sample {
        package var mean: Double
        package var deviation: Double
        /// Region of the latent that it is for; nil for views that are not windows.
        package var place: Region?

        package init(mean: Double, deviation: Double, place: Region? = nil) {
            (self.mean, self.deviation, self.place) = (mean, deviation, place)
        }
    }

    /// Threshold in standard deviations, estimated from the median absolute difference.
    private static let limit = 6.0
    /// Minimum number of answers to compare.
    private static let minCount = 8
    /// Minimum number of neighbours; with fewer, a window is compared with all others.
    private static let minNeighbours = 2

    /// - Parameter samples: the answers of one step
    /// - Returns: for each, whether it is odd
    package static func odd(among samples: [Sample]) -> [Bool] {
        let neighbours = neighbours(of: samples.map(\.place))
        let isNear = neighbours.map { $0.count >= minNeighbours }
        var odd = [Bool](repeating: false, count: samples.count)
        for isWindow in [false, true] {
            let group = samples.indices.filter { isNear[$0] == isWindow }
            guard group.count >= minCount else { continue }
            for value in [\Sample.mean, \.deviation] {
                let values = group.map { samples[$0][keyPath: value] }
                let apart =
                    isWindow
                    ? group.map { distance(of: $0, to: neighbours[$0], samples, value) }
                    : distances(toMiddleOf: values)
                let limit = limit * max(1.4826 * median(apart), 1e-9)
                for (index, distance) in zip(group, apart) where distance > limit {
                    odd[index] = true
                }
            }
        }
        return odd
    }

    /// For each region, the others that overlap it.
    private static func neighbours(of places: [Region?]) -> [[Int]] {
        // Cells as large as a window: each window is in at most four, and overlaps only windows that share one of them.
        let height = max(1, places.lazy.compactMap { $0?.rows.count }.max() ?? 1)
        let width = max(1, places.lazy.compactMap { $0?.columns.count }.max() ?? 1)
        var cells: [[Int]: [Int]] = [:]
        func keys(_ place: Region) -> [[Int]] {
            let rows = [place.rows.lowerBound, place.rows.upperBound - 1].map { floor($0, height) }
            let columns = [place.columns.lowerBound, place.columns.upperBound - 1]
                .map { floor($0, width) }
            return Set(rows).flatMap { row in Set(columns).map { [row, $0] } }
        }
        for (index, place) in places.enumerated() {
            guard let place, place.area > 0 else { continue }
            for key in keys(place) { cells[key, default: []].append(index) }
        }
        return places.enumerated().map { index, place in
            guard let place, place.area > 0 else { return [] }
            return Set(keys(place).flatMap { cells[$0] ?? [] }).filter { other in
                guard other != index, let theirs = places[other] else { return false }
                return theirs.rows.overlaps(place.rows) && theirs.columns.overlaps(place.columns)
            }.sorted()
        }
    }

    /// Division that rounds down: windows may begin above or left of the latent.
    private static func floor(_ value: Int, _ size: Int) -> Int {
        value >= 0 ? value / size : -((size - 1 - value) / size)
    }

    /// Distance to the nearest neighbour: at the edge of a picture that changes from one side to the other, all
    /// neighbours except those in the same row or column are on one side.
    private static func distance(
        of index: Int,
        to neighbours: [Int],
        _ samples: [Sample],
        _ value: KeyPath<Sample, Double>
    ) -> Double {
        let own = samples[index][keyPath: value]
        return neighbours.map { abs(samples[$0][keyPath: value] - own) }.min() ?? 0
    }

    private static func distances(toMiddleOf values: [Double]) -> [Double] {
        let middle = median(values)
        return values.map { abs($0 - middle) }
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// Mean and variance of a set of numbers.
package struct Moments: Equatable, Sendable {
    package var mean: Double
    package var variance: Double

    package init(mean: Double, variance: Double) {
        (self.mean, self.variance) = (mean, variance)
    }
}

extension [Moments] {
    /// Combines the moments of parts into those of the whole, always in the same order (Chan, Golub and LeVeque 1979).
    ///
    /// - Parameter parts: for each part, its weight in the whole and the moments of each group
    package init(joining parts: [(weight: Int, moments: [Moments])]) {
        let groups = parts.first?.moments.count ?? 0
        self = (0..<groups).map { group in
            var (count, mean, squares) = (0.0, 0.0, 0.0)
            for part in parts {
                let (weight, own) = (Double(part.weight), part.moments[group])
                let (sum, distance) = (count + weight, own.mean - mean)
                squares += own.variance * weight + distance * distance * count * weight / sum
                mean += distance * weight / sum
                count = sum
            }
            return Moments(mean: mean, variance: squares / Swift.max(1, count))
        }
    }
}

/// A rectangle of a picture.
package struct Region: Equatable, Sendable {
    package var rows: Range<Int>
    package var columns: Range<Int>

    package init(rows: Range<Int>, columns: Range<Int>) {
        (self.rows, self.columns) = (rows, columns)
    }

    package var area: Int { rows.count * columns.count }
}

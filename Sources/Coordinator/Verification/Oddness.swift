import Engine

/// Finds answers whose mean or deviation lies far from those of the others: overlapping views of one step are alike.
package enum Oddness {
    /// In deviations of the others, as the median of absolute differences gives it.
    private static let limit = 6.0
    /// With fewer answers nothing can be said.
    private static let minCount = 8

    /// - Parameter moments: mean and deviation of each answer
    /// - Returns: for each, whether it is odd
    package static func odd(among moments: [(mean: Double, deviation: Double)]) -> [Bool] {
        guard moments.count >= minCount else { return moments.map { _ in false } }
        let means = outliers(moments.map(\.mean))
        let deviations = outliers(moments.map(\.deviation))
        return zip(means, deviations).map { $0 || $1 }
    }

    private static func outliers(_ values: [Double]) -> [Bool] {
        let middle = median(values)
        let spread = 1.4826 * median(values.map { abs($0 - middle) })
        return values.map { abs($0 - middle) > limit * max(spread, 1e-9) }
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

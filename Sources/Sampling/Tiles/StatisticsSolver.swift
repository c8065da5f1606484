import Engine

/// Finds the moments that every group norm of a decoder would have on the whole picture.
///
/// Norm k's moments depend on those that the previous norms used, s₁ … sₖ₋₁, so the required ones are the
/// fixed point s = F(s), where a pass over all tiles gives F(s). Solving for one norm after the
/// other would take as many passes as there are norms. Instead a small copy of the picture is decoded in
/// one piece; its moments f depend on each other as the picture's do, and each is corrected by the error
/// that the last pass measured:
///
///     sₖ = fₖ(s₁ … sₖ₋₁) · cₖ        c ← c · F(s)/s  after every pass
///
/// (the means by addition, the variances by multiplication). At a fixed point the moments are exact,
/// whatever the copy; the copy only affects the number of passes. Each pass makes at least one more norm
/// exact, so the iteration terminates.
package struct StatisticsSolver: Sendable {
    /// For each group of each norm: what is added to the mean and what the variance is multiplied by.
    package private(set) var corrections: [Moments]

    /// Tolerance of the fixed point, in standard deviations.
    package static let tolerance = 0.005

    /// - Parameter count: number of groups, over all norms to find
    package init(count: Int) {
        corrections = Array(repeating: Moments(mean: 0, variance: 1), count: count)
    }

    /// Takes the results of a pass.
    ///
    /// - Parameters:
    ///   - used: what the norms normalised by
    ///   - found: what they measured
    /// - Returns: the largest difference, in standard deviations
    package mutating func take(used: [Moments], found: [Moments]) -> Double {
        precondition(used.count == corrections.count && found.count == used.count)
        var largest = 0.0
        for i in corrections.indices {
            let (old, new) = (used[i], found[i])
            corrections[i].mean += new.mean - old.mean
            // A group with the same number everywhere has no standard deviation to compare with.
            guard old.variance > 0, new.variance > 0 else { continue }
            corrections[i].variance *= new.variance / old.variance
            largest = max(
                largest,
                abs(new.mean - old.mean) / old.variance.squareRoot(),
                abs((new.variance / old.variance).squareRoot() - 1)
            )
        }
        return largest
    }
}

extension [Moments] {
    /// Combines the moments of parts to those of the whole, always in the same order (Chan, Golub and LeVeque
    /// 1979).
    ///
    /// - Parameter parts: for each part its fraction of the whole and the moments of each group
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

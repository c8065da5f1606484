import Engine

/// Finds the moments that every group norm of a decoder has on the whole picture.
///
/// Norm k's moments depend on those that the norms before it used, s₁ … sₖ₋₁, so the wanted ones are the
/// fixed point s = F(s), where a pass over all tiles gives F(s). Going through the norms one after the
/// other would take as many passes as there are norms. Instead a small copy of the picture is decoded in
/// one piece, whose own moments f follow each other as the picture's do, and each is corrected by what
/// the last pass found it to be off:
///
///     sₖ = fₖ(s₁ … sₖ₋₁) · cₖ        c ← c · F(s)/s  after every pass
///
/// (the means by addition, the variances by multiplication). At a fixed point the moments are exact,
/// whatever the copy; the copy only decides how soon it comes. Each pass makes at least one more norm
/// exact, so it comes.
package struct StatisticsSolver: Sendable {
    /// For each group of each norm: what is added to the mean and what the variance is multiplied by.
    package private(set) var corrections: [Moments]

    /// How far from the fixed point is near enough: of a standard deviation.
    package static let tolerance = 0.005

    /// - Parameter count: of groups, of all norms that are to be found
    package init(count: Int) {
        corrections = Array(repeating: Moments(mean: 0, variance: 1), count: count)
    }

    /// Takes the outcome of a pass.
    ///
    /// - Parameters:
    ///   - used: what the norms normalised by
    ///   - found: what they saw
    /// - Returns: the largest difference, in standard deviations
    package mutating func take(used: [Moments], found: [Moments]) -> Double {
        precondition(used.count == corrections.count && found.count == used.count)
        var largest = 0.0
        for i in corrections.indices {
            let (old, new) = (used[i], found[i])
            corrections[i].mean += new.mean - old.mean
            // A group that is one number everywhere has no deviation to compare with.
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
    /// The moments of a whole from those of its parts, always in the same order (Chan, Golub and LeVeque
    /// 1979).
    ///
    /// - Parameter parts: for each part its share of the whole and the moments of each group
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

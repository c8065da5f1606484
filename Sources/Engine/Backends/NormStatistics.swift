/// Mean and variance of a set of numbers.
package struct Moments: Equatable, Sendable {
    package var mean: Double
    package var variance: Double

    package init(mean: Double, variance: Double) {
        (self.mean, self.variance) = (mean, variance)
    }
}

/// Rows and columns of a picture.
package struct Region: Equatable, Sendable {
    package var rows: Range<Int>
    package var columns: Range<Int>

    package init(rows: Range<Int>, columns: Range<Int>) {
        (self.rows, self.columns) = (rows, columns)
    }

    package var area: Int { rows.count * columns.count }
}

/// What the group norms of one evaluation normalise by, where that is not their own input: a tile is
/// normalised by the statistics of the whole picture. Also records the statistics that the norms measured.
///
/// Used by one thread, for one evaluation.
package final class NormStatistics {
    private let groups: Int
    /// Statistics of the first norms, in the order of evaluation.
    private let statistics: [Moments]
    /// For the norms after those: what is added to the mean, and what the variance is multiplied by.
    private let corrections: [Moments]
    /// Number of norms to report.
    private let wanted: Int
    private var norms = 0

    /// The pixels to measure; nil for all.
    package var region: Region?
    /// What the norms up to `wanted` measured; with corrections, what they normalised by.
    package private(set) var seen: [Moments] = []
    /// What the last norm normalised by.
    package private(set) var last: [Moments] = []

    /// - Parameters:
    ///   - groups: of every norm
    ///   - statistics: of the first norms, `groups` each
    ///   - corrections: of the norms after those, `groups` each; none corrects nothing
    ///   - norms: how many to report
    package init(groups: Int, statistics: [Moments], corrections: [Moments], norms: Int) {
        precondition(statistics.count % groups == 0 && corrections.count % groups == 0)
        (self.groups, self.statistics) = (groups, statistics)
        (self.corrections, wanted) = (corrections, norms)
    }

    /// Whether every norm to be reported has been measured.
    package var isDone: Bool { norms >= wanted }

    /// The next norm.
    ///
    /// - Parameter measure: returns the moments of its groups
    /// - Returns: the moments to normalise by
    func next(_ measure: () -> [Moments]) -> [Moments] {
        let from = norms * groups
        let isWanted = norms < wanted
        norms += 1
        let isGiven = from < statistics.count
        if isGiven { last = Array(statistics[from..<from + groups]) }
        guard isWanted || !isGiven else { return last }
        let own = measure()
        if !isGiven { last = corrected(own, at: from - statistics.count) }
        if isWanted { seen += corrections.isEmpty ? own : last }
        return last
    }

    private func corrected(_ own: [Moments], at place: Int) -> [Moments] {
        guard place + groups <= corrections.count else { return own }
        return zip(own, corrections[place..<place + groups]).map { own, change in
            Moments(
                mean: own.mean + change.mean,
                variance: own.variance * change.variance
            )
        }
    }
}

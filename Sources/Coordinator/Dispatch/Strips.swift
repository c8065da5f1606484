import Protocol

/// Gives neighbouring units to the same site. Units are numbered row by row, and consecutive ones overlap: a relay is
/// sent what they share only once. Each site takes unit after unit from its own position. When it reaches the position
/// of another site, it starts again in the middle of the longest remaining strip. Workers without a relay count as one
/// site.
package struct Strips: Sendable {
    /// Number of a relay's site; nil for all workers without a relay.
    package typealias Site = Int?

    private var rank: Int?
    /// Where each site goes on.
    private var next: [Site: UnitID] = [:]

    package init() {}

    /// Chooses the unit that a site is given.
    ///
    /// - Parameters:
    ///   - site: site of the worker that gets the unit
    ///   - units: the waiting units in order, all of one rank; not empty
    ///   - rank: their rank; the strips start over when it changes
    /// - Returns: the unit's index
    package mutating func take(
        for site: Site,
        from units: some RandomAccessCollection<UnitID>,
        rank: Int
    )
        -> Int
    {
        if rank != self.rank { (self.rank, next) = (rank, [:]) }
        let others = Set(
            next.filter { $0.key != site }.values.map { Self.index(of: $0, in: units) }
        )
        let own = next[site].map { Self.index(of: $0, in: units) }
        var index = own ?? units.count
        if index == units.count || others.contains(index) {
            let starts = others.union([0]).subtracting([units.count]).sorted()
            let ends = starts.dropFirst() + [units.count]
            var longest = 0..<0
            for (start, end) in zip(starts, ends) where end - start > longest.count {
                longest = start..<end
            }
            let isFree = !others.contains(longest.lowerBound)
            index = isFree ? longest.lowerBound : longest.lowerBound + longest.count / 2
        }
        let unit = units[units.index(units.startIndex, offsetBy: index)]
        next[site] = UnitID(unit.rawValue + 1)
        return index
    }

    /// Index of the first unit that is not before `unit`, by bisection.
    private static func index(of unit: UnitID, in units: some RandomAccessCollection<UnitID>) -> Int
    {
        var (low, high) = (0, units.count)
        while low < high {
            let middle = (low + high) / 2
            if units[units.index(units.startIndex, offsetBy: middle)] < unit {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}

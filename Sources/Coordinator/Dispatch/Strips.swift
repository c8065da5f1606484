import Protocol

/// Gives neighbouring units to one site. Units are numbered row by row, and those that follow each other overlap: a relay is
/// sent what they share once. Each site takes unit after unit from a place of its own. When it comes to where another goes on,
/// it begins again in the middle of the longest strip that is left. Workers without a relay are like one site.
package struct Strips: Sendable {
    /// A relay's site by its number; nil: all workers without a relay.
    package typealias Site = Int?

    private var rank: Int?
    /// Where each of them goes on.
    private var next: [Site: UnitID] = [:]

    package init() {}

    /// Chooses the unit that a site is given.
    ///
    /// - Parameters:
    ///   - site: whose worker gets it
    ///   - units: those that wait, in order, all of one rank; not empty
    ///   - rank: theirs; where another one begins, so do the strips
    /// - Returns: its index
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

    /// The first unit that is not before another, by bisection.
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

import Protocol

/// What each site has answered in each step, and how much of it other sites have vouched for. Pure.
package struct Contributions: Sendable {
    private struct Tally {
        var answered = 0
        /// Number of answers that each site vouched for.
        var vouched: [HostID: Int] = [:]
    }

    private var sites: [HostID: [Int: Tally]] = [:]
    /// Sites that answered wrongly.
    package private(set) var accused: Set<HostID> = []

    package init() {}

    /// A site answered units in a step.
    package mutating func answered(_ count: Int = 1, by site: HostID, in step: Int) {
        sites[site, default: [:]][step, default: Tally()].answered += count
    }

    /// An answer of a site was found to be good.
    package mutating func vouch(for site: HostID, in step: Int, by voucher: HostID) {
        sites[site]?[step]?.vouched[voucher, default: 0] += 1
    }

    /// Marks sites as wrong. Accused sites that vouched for each other may have colluded, so their vouching no longer
    /// counts.
    ///
    /// - Parameters:
    ///   - wrong: the sites
    ///   - all: whether every answer needs a voucher; otherwise everything up to the last good answer counts as good
    /// - Returns: the first step of which something must be discarded; nil if nothing is left of their work
    package mutating func accuse(_ wrong: Set<HostID>, all: Bool) -> Int? {
        accused.formUnion(wrong)
        return accused.compactMap { site -> Int? in
            let open = (sites[site] ?? [:]).filter { goods(of: site, $0.value) < $0.value.answered }
            guard !all else { return open.keys.min() }
            let lastGood = (sites[site] ?? [:]).filter { goods(of: site, $0.value) > 0 }.keys.max()
            return open.keys.filter { $0 >= lastGood ?? .min }.min()
        }.min()
    }

    private func goods(of site: HostID, _ tally: Tally) -> Int {
        tally.vouched.reduce(0) { $0 + (accused.contains($1.key) ? 0 : $1.value) }
    }

    /// Discards everything that was answered in this step and later ones.
    package mutating func rollBack(to step: Int) {
        for site in sites.keys { sites[site] = sites[site]?.filter { $0.key < step } }
    }

    /// The earliest step that an accusation of a known site could lead back to; nil if there is none.
    package func earliestOpenStep(all: Bool) -> Int? {
        sites.compactMap { site, tallies in
            let lastGood = tallies.filter { goods(of: site, $0.value) > 0 }.keys.max()
            let open = tallies.filter {
                goods(of: site, $0.value) < $0.value.answered && (all || $0.key >= lastGood ?? .min)
            }
            return open.keys.min()
        }.min()
    }
}

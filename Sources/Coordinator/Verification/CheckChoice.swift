import Engine
import Foundation
import Protocol

/// Chooses which answers are computed a second time. Pure: the same answers and seed give the same choice.
///
/// Every unit adds its share to a budget that pays for checks, so their cost is this share of the work, whatever the
/// sites. Within the budget, answers are checked more often if their site is new, was wrong recently or has not been
/// checked for a long time, or if they look unlike the rest of their step. A little-known site gets its first checks in
/// a render outside the budget: a small render would otherwise have none.
package struct CheckChoice: Sendable {
    /// An answer that may be checked.
    package struct Candidate {
        package let site: HostID
        /// Cost of the unit where it was computed; `costOfCheck` is its cost for a worker that starts from scratch.
        package let cost: Double
        package let costOfCheck: Double
        /// Whether its mean or deviation is far from those of its neighbours (`Oddness`).
        package var isOdd = false

        package init(site: HostID, cost: Double, costOfCheck: Double, isOdd: Bool = false) {
            (self.site, self.cost) = (site, cost)
            (self.costOfCheck, self.isOdd) = (costOfCheck, isOdd)
        }
    }

    package let share: VerifyShare
    package let seed: UInt64
    /// Cost of the checks that can be paid for now.
    private var budget = 0.0
    private var firstChecks: [HostID: Int] = [:]
    /// Answers of each site since the last one that was chosen.
    private var unchecked: [HostID: Int] = [:]

    package init(share: VerifyShare, seed: UInt64) {
        (self.share, self.seed) = (share, seed)
        // Random: otherwise the same steps would be checked with every seed, and others never.
        budget = random((0, 0), 0)
    }

    /// - Parameters:
    ///   - candidates: the answers of a batch, in the order of its units
    ///   - records: what is known about a site
    ///   - key: key of the batch, for random numbers
    /// - Returns: indices of the answers to check, in order
    package mutating func choose(
        _ candidates: [Candidate],
        _ records: (HostID) -> SiteRecord,
        key: (step: Int, batch: Int)
    ) -> [Int] {
        switch share {
        case .off: return []
        case .all: return Array(candidates.indices)
        case .share(let share):
            for candidate in candidates {
                budget += share * candidate.cost
                unchecked[candidate.site, default: 0] += 1
            }
            let order = candidates.indices.map { index in
                let candidate = candidates[index]
                let weight = weight(candidate, records(candidate.site), share)
                let random = random(key, index)
                // Weighted sampling without replacement (Efraimidis and Spirakis, 2006).
                return (index: index, rank: pow(random, 1 / weight))
            }.sorted { ($0.rank, $1.index) > ($1.rank, $0.index) }
            var chosen: [Int] = []
            for (index, _) in order {
                let candidate = candidates[index]
                let record = records(candidate.site)
                let isFirst = firstChecks[candidate.site, default: 0] < record.firstChecks
                guard isFirst || candidate.costOfCheck <= budget else { continue }
                if isFirst {
                    firstChecks[candidate.site, default: 0] += 1
                } else {
                    budget -= candidate.costOfCheck
                }
                unchecked[candidate.site] = 0
                chosen.append(index)
            }
            return chosen.sorted()
        }
    }

    /// Whether the coordinator repeats a check that was good: two sites may have colluded.
    package func isAudited(_ key: (step: Int, batch: Int), _ index: Int) -> Bool {
        random((key.step, ~key.batch), index) < 1.0 / 8
    }

    private func weight(_ candidate: Candidate, _ record: SiteRecord, _ share: Double) -> Double {
        let isOverdue = Double(unchecked[candidate.site, default: 0]) * share > 1
        return record.weight * (candidate.isOdd ? 8 : 1) * (isOverdue ? 4 : 1)
            * candidate.cost / candidate.costOfCheck
    }

    /// Random number in (0, 1].
    private func random(_ key: (step: Int, batch: Int), _ index: Int) -> Double {
        let words = Philox.words(
            counter: [
                UInt32(truncatingIfNeeded: key.step), UInt32(truncatingIfNeeded: key.batch),
                UInt32(truncatingIfNeeded: index), 0x7665_7269,
            ],
            key: [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
        )
        return (Double(words[0]) + 1) / 4_294_967_296
    }
}

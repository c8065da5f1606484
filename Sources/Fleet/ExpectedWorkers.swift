import Coordinator
import Protocol

/// How many workers a render can count on. Pure.
package struct ExpectedWorkers {
    package var reports: [HostReport]
    package var active: [(name: String, key: PublicKey?)]
    /// Names of those that may not join as they are.
    package var refused: Set<String>
    /// Machines that joined by invitation.
    package var members: [(name: String, key: PublicKey)]
    /// Keys of machines that fetch the model or load it.
    package var fetching: Set<PublicKey>
    /// How many machines more the open invitations let in.
    package var usesLeft: Int
    /// Whether those who run would have called by now.
    package var isLate: Bool

    package init(
        reports: [HostReport],
        active: [(name: String, key: PublicKey?)],
        refused: Set<String>,
        members: [(name: String, key: PublicKey)],
        fetching: Set<PublicKey>,
        usesLeft: Int,
        isLate: Bool
    ) {
        (self.reports, self.active, self.refused) = (reports, active, refused)
        (self.members, self.fetching) = (members, fetching)
        (self.usesLeft, self.isLate) = (usesLeft, isLate)
    }

    /// Workers that have joined or may still do so.
    package var count: Int {
        let joined = Set(active.map(\.name))
        let ofHosts = reports.reduce(0) { sum, report in
            let here = joined.intersection(report.expected).count
            let refused = refused.intersection(report.expected).subtracting(joined).count
            let unknown = report.failure != nil && isLate ? 0 : report.expectedJoins - refused
            return sum + max(here, unknown)
        }
        return ofHosts + ofMembers + usesLeft
    }

    /// Machines call every few seconds, unless they fetch the model or load it.
    private var ofMembers: Int {
        let others = Set(active.map(\.name)).subtracting(reports.flatMap(\.expected)).count
        let here = Set(active.compactMap(\.key))
        let coming = members.count { name, key in
            fetching.contains(key) && !here.contains(key) && !refused.contains(name)
        }
        return isLate ? others + coming : max(others + coming, members.count)
    }
}

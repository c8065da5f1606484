import Coordinator
import Protocol

/// How many workers a render can count on. Pure.
package struct ExpectedWorkers {
    package var reports: [HostReport]
    package var active: [(name: String, key: PublicKey?)]
    /// Names of workers that may not join as they are.
    package var refused: Set<String>
    /// Machines that joined by invitation.
    package var members: [(name: String, key: PublicKey)]
    /// Keys of machines that are fetching or loading the model.
    package var preparing: Set<PublicKey>
    /// How many more machines may join with the open invitations.
    package var usesLeft: Int
    /// Whether every running worker would have connected by now.
    package var isLate: Bool

    package init(
        reports: [HostReport],
        active: [(name: String, key: PublicKey?)],
        refused: Set<String>,
        members: [(name: String, key: PublicKey)],
        preparing: Set<PublicKey>,
        usesLeft: Int,
        isLate: Bool
    ) {
        (self.reports, self.active, self.refused) = (reports, active, refused)
        (self.members, self.preparing) = (members, preparing)
        (self.usesLeft, self.isLate) = (usesLeft, isLate)
    }

    /// Number of workers that have joined or may still do so.
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

    /// Machines try to connect every few seconds, except while they fetch or load the model.
    private var ofMembers: Int {
        let others = Set(active.map(\.name)).subtracting(reports.flatMap(\.expected)).count
        let here = Set(active.compactMap(\.key))
        let coming = members.count { name, key in
            preparing.contains(key) && !here.contains(key) && !refused.contains(name)
        }
        return isLate ? others + coming : max(others + coming, members.count)
    }
}

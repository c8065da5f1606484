import Engine
import Foundation
import Protocol

/// The output of `tessera cluster members`.
package struct MemberList: Encodable, Equatable, Sendable {
    package struct Row: Encodable, Equatable, Sendable {
        package let name: String
        /// The fingerprint of its key.
        package let key: String
        /// When it joined, in seconds since 1970.
        package let joined: Double
        package let invitation: String
        package let address: String
        /// When it was last heard from, in seconds since 1970; nil if it has never worked.
        package let lastSeen: Double?
    }

    package struct Open: Encodable, Equatable, Sendable {
        package let invitation: String
        package let used: Int
        package let uses: Int
        /// When the invitation expires, in seconds since 1970.
        package let ends: Double
    }

    package let members: [Row]
    /// Invitations that can still be used.
    package let invitations: [Open]

    /// - Parameters:
    ///   - book: invitations and members
    ///   - seen: when a coordinator last heard from each key, in seconds since 1970
    ///   - now: current time in seconds since 1970
    package init(
        _ book: JoinBook,
        seen: [String: Double],
        now: Double = Date().timeIntervalSince1970
    ) {
        members = book.members.map { member in
            Row(
                name: member.name,
                key: member.key.fingerprint,
                joined: member.joined,
                invitation: member.invitation,
                address: member.address,
                lastSeen: seen[member.key.text]
            )
        }
        invitations = book.invitations.filter { $0.isOpen(at: now) }.map { invitation in
            Open(
                invitation: invitation.id,
                used: invitation.usedBy.count,
                uses: invitation.uses,
                ends: invitation.ends
            )
        }
    }

    /// The list as human-readable lines.
    package func lines(now: Double = Date().timeIntervalSince1970) -> [String] {
        let head = ["NAME", "KEY", "JOINED", "INVITATION", "FROM", "LAST SEEN"]
        let rows = members.map { row in
            [
                row.name, row.key, TextTable.ago(now - row.joined), row.invitation,
                row.address.isEmpty ? "-" : row.address,
                row.lastSeen.map { TextTable.ago(now - $0) } ?? "never",
            ]
        }
        let open = invitations.map { invitation in
            "invitation \(invitation.invitation): \(invitation.used) of \(invitation.uses) used, ends in "
                + JoinBook.span(invitation.ends - now)
        }
        return TextTable.lines([head] + rows) + open
    }
}

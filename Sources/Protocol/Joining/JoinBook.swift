import Engine
import Foundation

/// An invitation as stored by the coordinator, without its secret key.
package struct Invitation: Codable, Equatable, Sendable {
    /// Id shown to people: the first digits of its key's fingerprint.
    package let id: String
    package let key: PublicKey
    /// Seconds since 1970.
    package let made: Double
    package let ends: Double
    /// Number of machines that may join with it.
    package let uses: Int
    /// Keys of the machines that have joined with it.
    package internal(set) var usedBy: [PublicKey] = []
    package internal(set) var isWithdrawn = false

    package init(key: PublicKey, made: Double, ends: Double, uses: Int) {
        id = String(key.fingerprint.prefix(4))
        (self.key, self.made, self.ends, self.uses) = (key, made, ends, uses)
    }

    /// Whether a machine can join with it now.
    package func isOpen(at now: Double) -> Bool {
        !isWithdrawn && now < ends && usedBy.count < uses
    }
}

/// A machine that joined with an invitation.
package struct Member: Codable, Equatable, Sendable {
    package let name: String
    package let key: PublicKey
    /// Seconds since 1970.
    package let joined: Double
    /// Id of the invitation.
    package let invitation: String
    /// The address from which it joined.
    package let address: String
}

/// A machine's request to join.
package struct JoinRequest: Equatable, Sendable {
    package var version = protocolVersion
    /// The machine's version of Tessera.
    package var program = tesseraVersion
    /// The machine's own public key.
    package var key: PublicKey
    /// The name that it asks for.
    package var name: String

    package init(key: PublicKey, name: String) {
        (self.key, self.name) = (key, name)
    }
}

/// Invitations to a cluster, and the machines that have joined. Decides who may join; no files and no clock.
package struct JoinBook: Codable, Equatable, Sendable {
    package private(set) var format = 1
    package private(set) var invitations: [Invitation] = []
    package private(set) var members: [Member] = []

    static let maxMembers = 4096
    static let maxInvitations = 256
    /// How long an expired invitation is remembered, in seconds, so that its holder can be told why it is refused.
    static let memory: Double = 7 * 86_400

    package init() {}

    /// Keys of machines that may work.
    package var memberKeys: Set<PublicKey> { Set(members.map(\.key)) }
    /// Keys that may ask to join; the request may still be refused.
    package var invitedKeys: Set<PublicKey> { Set(invitations.map(\.key)) }

    /// Result of a request to join.
    package enum Registration: Equatable, Sendable {
        case joined(Member)
        /// The machine had already joined with the same key: the answer was lost, or it was restarted.
        case known(Member)
        case refused(String)
    }

    /// Adds an invitation, and forgets those that expired long ago.
    ///
    /// - Throws: `InputError` if there are too many
    package mutating func add(_ invitation: Invitation, at now: Double) throws(InputError) {
        invitations.removeAll { now - $0.ends > Self.memory }
        if invitations.count >= Self.maxInvitations {
            invitations.removeAll { !$0.isOpen(at: now) }
        }
        guard invitations.count < Self.maxInvitations else {
            throw InputError(
                "tessera cluster invite",
                "\(invitations.count) invitations are open already",
                fix: "Wait until some have ended, or make one with more --uses"
            )
        }
        invitations.append(invitation)
    }

    /// Decides whether a machine may join.
    ///
    /// - Parameters:
    ///   - request: the machine's request
    ///   - invitation: the key that the connection was authenticated with
    ///   - address: the address of the machine
    ///   - now: seconds since 1970
    /// - Returns: the member, or the reason for the refusal
    package mutating func register(
        _ request: JoinRequest,
        by invitation: PublicKey,
        from address: String,
        at now: Double
    ) -> Registration {
        guard let place = invitations.firstIndex(where: { $0.key == invitation }) else {
            return .refused("this invitation is not known here")
        }
        let found = invitations[place]
        if let advice = VersionAdvice.advice(worker: request.version, program: request.program) {
            return .refused(advice)
        }
        // Checked before the expiry: the same machine may repeat its request.
        if found.usedBy.contains(request.key),
            let member = members.first(where: { $0.key == request.key })
        {
            return .known(member)
        }
        if let reason = Self.refusal(found, at: now) { return .refused(reason) }
        guard !invitedKeys.contains(request.key) else {
            return .refused("its key is that of an invitation; remove it and join again")
        }
        if let member = members.first(where: { $0.key == request.key }) { return .known(member) }
        guard members.count < Self.maxMembers else {
            return .refused("\(members.count) machines have joined, and no more can")
        }
        let member = Member(
            name: name(like: request.name),
            key: request.key,
            joined: now,
            invitation: found.id,
            address: printable(address, limit: 64)
        )
        invitations[place].usedBy.append(request.key)
        members.append(member)
        return .joined(member)
    }

    private static func refusal(_ invitation: Invitation, at now: Double) -> String? {
        if invitation.isWithdrawn {
            return "invitation \(invitation.id) was withdrawn"
        }
        if now >= invitation.ends {
            return "invitation \(invitation.id) ended \(span(now - invitation.ends)) ago"
        }
        if invitation.usedBy.count >= invitation.uses {
            let machines = invitation.uses == 1 ? "machine" : "\(invitation.uses) machines"
            return "invitation \(invitation.id) has been used by another \(machines)"
        }
        return nil
    }

    /// Formats a duration: "5 s", "12 min", "3 h", "2 days".
    package static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<100: "\(Int(max(0, seconds.rounded()))) s"
        case ..<6000: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\(Int((seconds / 3600).rounded())) h"
        default: "\(Int((min(seconds, 1e12) / 86_400).rounded())) days"
        }
    }

    /// Removes a machine from the list, and withdraws the invitation that it joined with, because its holder could join
    /// again.
    ///
    /// - Returns: the machine; nil if there is none with this name
    package mutating func remove(_ name: String) -> Member? {
        guard let place = members.firstIndex(where: { $0.name == name }) else { return nil }
        let member = members.remove(at: place)
        for place in invitations.indices where invitations[place].usedBy.contains(member.key) {
            invitations[place].isWithdrawn = true
        }
        return member
    }

    /// Whether this name would be given to a machine unchanged, if it is not taken.
    package static func isName(_ text: String) -> Bool { name(from: text) == text }

    /// Drops the characters that a name cannot contain. "localhost" says nothing about a machine.
    private static func name(from wish: String) -> String {
        let allowed = wish.unicodeScalars.filter { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || "0123456789._-".contains(Character(scalar)))
        }
        let base = String(String.UnicodeScalarView(allowed.prefix(48))).drop { "-.".contains($0) }
        return base.isEmpty || base == "localhost" ? "machine" : String(base)
    }

    /// A unique name for a member, based on the one that it asks for.
    private func name(like wish: String) -> String {
        let name = Self.name(from: wish)
        let taken = Set(members.map(\.name))
        guard taken.contains(name) else { return name }
        var number = 2
        while taken.contains("\(name)-\(number)") { number += 1 }
        return "\(name)-\(number)"
    }
}

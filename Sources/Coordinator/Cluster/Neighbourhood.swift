import Protocol

/// Which workers may send the model to which machines that lack it: those on the same network. Requests and a clock in,
/// lists out: no socket.
package struct Neighbourhood {
    /// A machine that fetches the model.
    private struct Guest {
        var addresses: [LANAddress]
        /// Address that it connects from.
        var origin: String
        var until: Duration
    }

    private var guests: [PublicKey: Guest] = [:]
    /// How long a machine that has asked may fetch from its neighbours.
    private static let span: Duration = .seconds(3600)

    package init() {}

    /// A machine asked for the model.
    ///
    /// - Parameters:
    ///   - key: key that it has authenticated with
    ///   - addresses: addresses that it claims to have; if empty, it asks for no neighbours
    ///   - origin: address that it connects from
    ///   - now: time on a monotonic clock
    package mutating func note(
        _ key: PublicKey,
        _ addresses: [LANAddress],
        from origin: String,
        at now: Duration
    ) {
        guard !addresses.isEmpty, guests[key] != nil || guests.count < GuestList.maxCount else {
            return
        }
        guests[key] = Guest(addresses: addresses, origin: origin, until: now + Self.span)
    }

    /// Forgets machines whose time is over, and those that are no longer allowed.
    ///
    /// - Returns: whether there were any
    package mutating func update(allowed: Set<PublicKey>, at now: Duration) -> Bool {
        let before = guests.count
        guests = guests.filter { $0.value.until > now && allowed.contains($0.key) }
        return guests.count < before
    }

    /// Whether nobody has asked.
    package var isEmpty: Bool { guests.isEmpty }

    /// Machines that may fetch from a worker.
    ///
    /// - Parameters:
    ///   - share: what the worker offers
    ///   - origin: address that the worker connects from
    /// - Returns: their keys
    package func guests(of share: ModelShare, at origin: String) -> Set<PublicKey> {
        Set(guests.filter { address(of: share, at: origin, for: $0.value) != nil }.keys)
    }

    /// Where a machine that has asked can reach a worker.
    ///
    /// - Returns: nil if they are not on the same network
    package func neighbour(
        _ share: ModelShare,
        at origin: String,
        for key: PublicKey
    ) -> Neighbour? {
        guests[key].flatMap { address(of: share, at: origin, for: $0) }
            .map { Neighbour(address: $0, port: share.port, key: share.key) }
    }

    /// Where a machine can reach a worker; nil if they are not on the same network. Many networks use the same
    /// addresses. Two machines are on the same one if they connect from the same address, that of a router, or if both
    /// connect from addresses that they claim to have.
    private func address(
        of share: ModelShare,
        at origin: String,
        for guest: Guest
    ) -> LANAddress? {
        share.addresses.first { theirs in
            guest.addresses.contains { own in
                own.reaches(theirs)
                    && (origin == guest.origin && !origin.isEmpty
                        || origin == theirs.host && guest.origin == own.host)
            }
        }
    }
}

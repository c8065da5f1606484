import Protocol

/// Which workers may send the model to which machines that lack it: those on one network. Requests and a clock in, lists
/// out: no socket.
package struct Neighbourhood {
    /// A machine that fetches the model.
    private struct Guest {
        var addresses: [LANAddress]
        /// Where it calls from.
        var origin: String
        var until: Duration
    }

    private var guests: [PublicKey: Guest] = [:]
    /// How long one that has asked may fetch from its neighbours.
    private static let span: Duration = .seconds(3600)

    package init() {}

    /// A machine asked for the model.
    ///
    /// - Parameters:
    ///   - key: with which it has authenticated
    ///   - addresses: that it says it has; none: it asks for no neighbours
    ///   - origin: where it calls from
    ///   - now: on a monotonic clock
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

    /// Forgets machines whose time is over, and those that are not allowed any more.
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
    ///   - share: of the worker
    ///   - origin: where it calls from
    /// - Returns: their keys
    package func guests(of share: ModelShare, at origin: String) -> Set<PublicKey> {
        Set(guests.filter { address(of: share, at: origin, for: $0.value) != nil }.keys)
    }

    /// Where a machine that has asked finds a worker.
    ///
    /// - Returns: nil if they are not on one network
    package func neighbour(
        _ share: ModelShare,
        at origin: String,
        for key: PublicKey
    ) -> Neighbour? {
        guests[key].flatMap { address(of: share, at: origin, for: $0) }
            .map { Neighbour(address: $0, port: share.port, key: share.key) }
    }

    /// Many networks have the same numbers. Two machines are on one if they call from the same address, that of a router, or
    /// both from the addresses that they say they have.
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

import Engine
import Protocol

/// What was sent to relays, so that nothing is sent to them twice. Decides which parts of a latent are sent.
struct RelayBook {
    /// A relay is identified by its process and by the key that its connections authenticate with: nobody can pose as
    /// another's relay.
    private struct Relay: Hashable {
        let id: [UInt8]
        let key: PublicKey?
    }

    private struct Entry {
        var cells = SentCells()
        /// How many times it lacked what it was sent.
        var gaps = 0
    }

    private var entries: [Relay: Entry] = [:]

    /// Maximum number of relays; any others get whole latents.
    private static let maxRelays = 64
    /// How many times a relay may lack something before it gets only whole latents.
    private static let maxGaps = 16

    /// What to send of a window's latent.
    ///
    /// - Parameters:
    ///   - unit: the view
    ///   - peer: the worker that gets it
    ///   - format: format in which it is sent
    /// - Returns: nil if the whole latent must be sent
    mutating func delta(
        of unit: WorkUnit,
        to peer: Roster.Peer,
        as format: WireFormat
    ) -> (LatentDelta, pixels: Tensor?)? {
        guard let relay = Self.relay(of: peer), let place = unit.place, unit.input.shape.count == 4,
            unit.input.shape[0...2] == [1, place.rows.count, place.columns.count],
            entries[relay] != nil || entries.count < Self.maxRelays,
            (entries[relay]?.gaps ?? 0) < Self.maxGaps
        else { return nil }
        return entries[relay, default: Entry()].cells
            .delta(of: unit.input, at: place, as: format)
    }

    /// A worker was lost: what was sent to it may not have reached its relay.
    ///
    /// - Parameters:
    ///   - peer: the worker
    ///   - isLast: whether no other worker of the relay is left
    mutating func lost(_ peer: Roster.Peer, isLast: Bool) {
        guard let relay = Self.relay(of: peer) else { return }
        if isLast { entries[relay] = nil } else { entries[relay]?.cells.forget() }
    }

    /// A relay lacks what a view refers to.
    ///
    /// - Returns: false if that is impossible
    mutating func noteGap(at peer: Roster.Peer) -> Bool {
        guard let relay = Self.relay(of: peer), let entry = entries[relay],
            entry.gaps < Self.maxGaps
        else { return false }
        entries[relay]?.gaps += 1
        entries[relay]?.cells.forget()
        return true
    }

    private static func relay(of peer: Roster.Peer) -> Relay? {
        peer.hello.relay.map { Relay(id: $0.id, key: peer.origin.key) }
    }
}

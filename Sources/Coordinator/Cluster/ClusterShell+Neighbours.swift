import Protocol

/// Workers that send the model to machines on their network, so that the coordinator does not have to.
extension ClusterShell {
    /// A machine asked for the model, and also for neighbours if it gave its addresses: workers are told to admit it.
    func invite(_ key: PublicKey, _ addresses: [LANAddress], from origin: String) {
        guard !addresses.isEmpty else { return }
        neighbourhood.note(key, addresses, from: origin, at: start.duration(to: .now))
        for peer in roster.all { admitGuests(to: peer) }
    }

    /// Workers that offer the model to a machine.
    func neighbours(of key: PublicKey) -> [Neighbour] {
        guard !neighbourhood.isEmpty else { return [] }
        let found = roster.all.compactMap { peer in
            peer.share.flatMap { neighbourhood.neighbour($0, at: peer.origin.address, for: key) }
        }
        return Array(found.shuffled().prefix(Neighbour.maxCount))
    }

    /// Tells a worker which machines may fetch the model from it, if that has changed.
    func admitGuests(to peer: Roster.Peer) {
        guard let share = peer.share else { return }
        let keys = neighbourhood.guests(of: share, at: peer.origin.address)
        guard keys != admitted[peer.worker] ?? [] else { return }
        admitted[peer.worker] = keys
        send(.admit(keys), to: peer)
    }

    /// Withdraws the permission of machines whose keys were taken off the list, or whose time is over.
    func updateNeighbourhood(allowed: Set<PublicKey>) {
        guard neighbourhood.update(allowed: allowed, at: start.duration(to: .now)) else { return }
        for peer in roster.all { admitGuests(to: peer) }
    }
}

extension Roster.Peer {
    /// Where it offers its model to neighbours; nil if it does not.
    var share: ModelShare? { version >= 8 && origin.key != nil ? hello.share : nil }
}

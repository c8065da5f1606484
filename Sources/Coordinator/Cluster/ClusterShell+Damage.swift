import Engine
import Logging
import Protocol

/// Messages whose checksums are wrong. A network card, memory or a bug flipped bits; the worker did not compute wrong.
extension ClusterShell {
    /// So many damaged messages without a whole answer between them, and the link counts as unusable.
    private static let maxInRow = 8

    /// A message from a worker was damaged, or one to it.
    ///
    /// - Parameters:
    ///   - unit: the unit whose tensor it is; nil where that cannot be known
    ///   - peer: the worker
    func noteDamage(_ unit: UnitID?, from peer: Roster.Peer) {
        board.update(peer.place) { $0.damaged += 1 }
        damagedInRow[peer.worker, default: 0] += 1
        warn(
            "a message between worker \(peer.hello.name) and the coordinator was damaged on the way: it is sent "
                + "again. If this is repeated, check the network cards and the memory of both machines"
        )
        guard let unit else {
            send(.goodbye(.unknown), to: peer)
            return lose(peer, .left)
        }
        if endProbe(unit.rawValue, of: peer, .failed("damaged on the way")) { return }
        relays.lost(peer, isLast: false)
        if damagedInRow[peer.worker, default: 0] >= Self.maxInRow {
            return refuse(unit, "\(Self.maxInRow) messages in a row were damaged on the way", peer)
        }
        if let tile = batch?[unit]?.tile, let job = batch?.job.message.id,
            jobs[job]?.homes[tile] == peer.worker
        {
            jobs[job]?.homes[tile] = nil
        }
        feed(.missed(unit, by: peer.worker))
    }
}

import Engine
import Logging
import Protocol

/// Handles messages whose checksums are wrong: a network card, memory or a bug flipped bits, but the worker did not
/// compute anything wrong.
extension ClusterShell {
    /// Number of damaged messages in a row, without an intact answer in between, at which a link counts as unusable.
    private static let maxInRow = 8

    /// A message from a worker or to it was damaged.
    ///
    /// - Parameters:
    ///   - unit: the unit whose tensor it is; nil if unknown
    ///   - peer: the worker
    func noteDamage(_ unit: UnitID?, from peer: Roster.Peer) {
        board.update(peer.place) { $0.damaged += 1 }
        damagedInRow[peer.worker, default: 0] += 1
        warn(
            "a message between worker \(peer.hello.name) and the coordinator was damaged in transit: it is sent "
                + "again. If this is repeated, check the network cards and the memory of both machines"
        )
        guard let unit else {
            send(.goodbye(.unknown), to: peer)
            return lose(peer, .left)
        }
        if endProbe(unit.rawValue, of: peer, .failed("damaged in transit")) { return }
        relays.lost(peer, isLast: false)
        if damagedInRow[peer.worker, default: 0] >= Self.maxInRow {
            return refuse(unit, "\(Self.maxInRow) messages in a row were damaged in transit", peer)
        }
        if let tile = batch?[unit]?.tile, let job = batch?.job.message.id,
            jobs[job]?.homes[tile] == peer.worker
        {
            jobs[job]?.homes[tile] = nil
        }
        feed(.missed(unit, by: peer.worker))
    }
}

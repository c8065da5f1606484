import Engine
import Foundation
import Logging
import Protocol

/// Which workers are busy, and how fast they are.
extension ClusterShell {
    /// Records how long a worker took for a view.
    func noteSpeed(
        of peer: Roster.Peer,
        _ unit: WorkUnit,
        _ model: ModelGeometry,
        _ spent: Duration
    ) {
        board.update(peer.place) { $0.isLate = false }
        guard unit.kind == .views else { return }
        let hello = peer.hello
        let change = speedWatch.note(
            peer.worker,
            kind: "\(hello.backend) \(hello.precision) \(hello.threads) \(hello.processor)",
            pace: spent / .seconds(1) / max(1e-6, unit.cost(model))
        )
        switch change {
        case .crawls(let factor, let reference):
            board.update(peer.place) { $0.slowness = factor }
            let times = String(format: "%.1f", factor)
            let than = reference == .itself ? "as it was" : "as others of its kind"
            logger.warning(
                """
                worker \(hello.name) works but crawls, \(times) times as slow \(than): its host may be hot, swapping or \
                busy; see tessera cluster top
                """
            )
        case .recovered:
            board.update(peer.place) { $0.slowness = nil }
            logger.notice("worker \(hello.name) is as fast as usual again")
        case nil: break
        }
    }

    /// Tells other threads how much work is left.
    func publishQueue() {
        let waiting = self.waiting.reduce(0) { $0 + $1.request.units.count }
        board.setQueue((batch == nil ? 0 : state.unitsLeft) + waiting)
    }
}

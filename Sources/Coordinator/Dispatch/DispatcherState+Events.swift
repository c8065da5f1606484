import Protocol

/// What the dispatcher is told, and what it asks for.
extension DispatcherState {
    package enum Event: Equatable, Sendable {
        /// A batch begins while none is open. Units may have costs, by default 1, and homes. Checks name the sites that
        /// may not have them. Units of a lower rank, by default 0, are needed first, and have lower numbers than those
        /// of a higher one.
        case submitted(
            [UnitID],
            costs: [Double] = [],
            kind: Kind = .views,
            homes: [Home] = [],
            checks: [UnitID: Set<HostID>] = [:],
            ranks: [Int] = []
        )
        /// More units for the open batch, with costs and checks as in `submitted`.
        case added(
            [UnitID],
            rank: Int,
            costs: [Double] = [],
            checks: [UnitID: Set<HostID>] = [:]
        )
        /// Nobody needs these units soon: those that nobody has begun are dropped.
        case withdrawn([UnitID])
        case cancelled
        /// A worker joined. Workers of one host share its record; without a host, a worker counts as its own host.
        /// Workers of one site are not independent of each other; without a site, the site is the host. Workers behind
        /// a relay are sent what they share only once.
        case joined(WorkerID, from: HostID? = nil, site: HostID? = nil, behindRelay: Bool = false)
        /// Answers of a site were wrong; `trusted` gives it work again.
        case distrusted(HostID)
        case trusted(HostID)
        /// The worker accepts this many more units.
        case asked(WorkerID, Int)
        /// The worker computes up to this many units together.
        case batches(WorkerID, Int)
        /// The worker sent a message of any kind.
        case heard(WorkerID)
        /// A good answer arrived; it is ignored unless its unit belongs to the open batch. `spent` is the worker's own
        /// measurement of its computing time.
        case answered(UnitID, by: WorkerID, spent: Duration? = nil)
        /// A bad answer arrived, or a report that the worker cannot compute the unit.
        case refused(UnitID, by: WorkerID, reason: String)
        /// The worker was given a unit as the home of its tile, but no longer keeps the tile.
        case missed(UnitID, by: WorkerID)
        /// The worker is lost.
        case lost(WorkerID, WorkerLoss)
        /// No worker will join any more.
        case closed
        case tick
    }

    package enum Action: Equatable, Sendable {
        case assign(UnitID, to: WorkerID, attempt: Int)
        /// Use this answer, which arrived with the event.
        case accept(UnitID)
        /// Nobody will compute this check.
        case skip(UnitID)
        /// This unit was withdrawn before anybody began it.
        case drop(UnitID)
        /// Tell the worker to drop the unit.
        case abandon(UnitID, at: WorkerID)
        /// The worker is silent: close its connection.
        case evict(WorkerID)
        /// The worker's lease expired: it gets no work until it answers or asks.
        case doubt(WorkerID)
        /// The worker gets no more work.
        case setAside(WorkerID)
        /// The worker answered a unit that it was never given: close its connection.
        case expel(WorkerID, UnitID)
        /// The worker's host failed repeatedly: it gets no work for this long.
        case pause(WorkerID, for: Duration)
        case complete
        case failed(UnitID, [UnitFailure])
        /// No worker is left, and none joined in time.
        case noWorkersLeft
    }

    /// One failed attempt at a unit.
    package struct UnitFailure: Equatable, Sendable {
        package enum Cause: Equatable, Sendable {
            case lost(WorkerLoss)
            case refused(String)
        }
        package let worker: WorkerID
        package let cause: Cause

        package init(worker: WorkerID, cause: Cause) {
            self.worker = worker
            self.cause = cause
        }
    }
}

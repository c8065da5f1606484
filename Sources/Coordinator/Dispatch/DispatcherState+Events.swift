import Protocol

/// What the dispatcher is told, and what it wants to be done.
extension DispatcherState {
    package enum Event: Equatable, Sendable {
        /// A batch begins; none is open. Each unit may have a cost, by default 1, and a home.
        /// The checks among them name the sites that may not have them. Those of a lower rank, by default 0, are needed first, and
        /// have lower numbers than those of a higher one.
        case submitted(
            [UnitID],
            costs: [Double] = [],
            kind: Kind = .views,
            homes: [Home] = [],
            checks: [UnitID: Set<HostID>] = [:],
            ranks: [Int] = []
        )
        /// More units for the open batch, as `submitted`.
        case added(
            [UnitID],
            rank: Int,
            costs: [Double] = [],
            checks: [UnitID: Set<HostID>] = [:]
        )
        /// Nobody needs these units soon: those that nobody has begun are dropped.
        case withdrawn([UnitID])
        case cancelled
        /// A worker joined. Workers of one host share its record; without a host, it counts as its own host. Workers of one
        /// site are not independent of each other; without one, the site is the host. Behind a relay, they are sent once what
        /// they share.
        case joined(WorkerID, from: HostID? = nil, site: HostID? = nil, behindRelay: Bool = false)
        /// Answers of a site were wrong, or it is given work again.
        case distrusted(HostID)
        case trusted(HostID)
        /// It accepts this many more units.
        case asked(WorkerID, Int)
        /// It computes up to this many units together.
        case batches(WorkerID, Int)
        /// It sent a message of any kind.
        case heard(WorkerID)
        /// A good answer arrived, to be ignored unless it is to a unit of the open batch.
        /// `spent`: the worker's own measurement of its computing time.
        case answered(UnitID, by: WorkerID, spent: Duration? = nil)
        /// A bad answer arrived, or a report that the unit cannot be computed.
        case refused(UnitID, by: WorkerID, reason: String)
        /// It was given a unit because it is the home of the unit's tile, and does not keep the tile any more.
        case missed(UnitID, by: WorkerID)
        /// It is lost.
        case lost(WorkerID, WorkerLoss)
        /// No worker will join any more.
        case closed
        case tick
    }

    package enum Action: Equatable, Sendable {
        case assign(UnitID, to: WorkerID, attempt: Int)
        /// Use this answer, which arrived with the event.
        case accept(UnitID)
        /// Nobody computes this check.
        case skip(UnitID)
        /// Nobody had begun this unit, which was withdrawn.
        case drop(UnitID)
        /// Tell the worker to drop the unit.
        case abandon(UnitID, at: WorkerID)
        /// It is silent: close its connection.
        case evict(WorkerID)
        /// Its lease expired: it gets no work until it answers or asks.
        case doubt(WorkerID)
        /// It gets no more work.
        case setAside(WorkerID)
        /// It answered a unit that it was never given: close its connection.
        case expel(WorkerID, UnitID)
        /// Its host failed repeatedly: it gets no work for this long.
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

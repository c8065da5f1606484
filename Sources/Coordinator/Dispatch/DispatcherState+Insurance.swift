import Protocol

// Copies of units that may be lost with their workers.

extension DispatcherState {
    /// Expected number of units lost before the batch ends from which copies are made.
    private static let riskWorthACopy = 0.05
    /// Maximum delay of a copy behind its original, as a share of the quickest idle worker's time. A later copy saves
    /// little, because an idle worker computes a lost unit again.
    private static let usefulDelay = 0.6

    /// Round-trip time, as a share of the quickest worker's time, from which the link is crowded: copies would delay
    /// what others wait for.
    private static let crowding = 1.0 / 3

    /// Gives proven workers that are still idle second copies of units whose loss would hold up the batch: a unit that
    /// is lost at the end of a batch is computed again from the start. Nothing is copied if no worker has left and no
    /// answer was refused, or if units are so short that few will be lost.
    mutating func insure(
        by idle: [Idle],
        _ kind: Kind,
        reference: Double?,
        _ actions: inout [Action]
    ) {
        let free = idle.filter { $0.isProven && workers[$0.id]?.held.isEmpty == true }
        guard let quickest = free.map(\.time).min(), batch?.hasHomes == false,
            trips < Self.crowding * quickest
        else { return }
        var risks: [(unit: UnitID, done: Double)] = []
        for worker in workers.values where worker.held.count == 1 {
            guard let id = worker.held.first?.unit, let unit = batch?.units[id],
                unit.holders.count == 1, unit.barred == nil
            else { continue }
            risks.append((id, worker.free(kind, reference: reference, at: seconds)))
        }
        let time = risks.reduce(0) { $0 + $1.done - seconds }
        guard lossRate.expected(in: time) >= Self.riskWorthACopy else { return }
        // Units that will be done last have most to lose.
        risks.sort { ($0.done, $0.unit) > ($1.done, $1.unit) }
        var next = risks.startIndex
        for worker in free.sorted(by: { ($0.time, $0.id) < ($1.time, $1.id) }) {
            guard next < risks.endIndex,
                seconds + worker.time < risks[next].done + Self.usefulDelay * quickest
            else { return }
            if isAllowed(risks[next].unit, worker.id) {
                assign(risks[next].unit, to: worker.id, &actions)
            }
            next += 1
        }
    }
}

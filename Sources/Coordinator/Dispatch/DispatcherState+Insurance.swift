import Protocol

// Copies of units that may be lost with their workers.

extension DispatcherState {
    /// Copies are made where so many units, or more, will probably be lost before the batch ends.
    private static let riskWorthACopy = 0.05
    /// A lost unit is computed again by an idle worker. A copy saves little if it ends later than its original by more than
    /// this share of the quickest idle worker's time.
    private static let usefulDelay = 0.6

    /// Where round trips take longer than this share of the quickest worker's time, the link is crowded: copies would delay what
    /// somebody waits for.
    private static let crowding = 1.0 / 3

    /// Gives proven workers that are still idle second copies of units whose loss would hold up the batch: at its end a unit
    /// that is lost with its worker would be computed again from its start. Nothing is copied where no worker has left
    /// and no answer was refused, nor where units are so short that few will be lost.
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
        // Those that will be done last have most to lose.
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

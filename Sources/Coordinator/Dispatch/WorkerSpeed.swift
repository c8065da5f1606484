import Protocol

/// A worker's speed, measured by the coordinator's clock. Times are in seconds.
struct WorkerSpeed: Sendable {
    /// Units that were computed together so far: their time, their cost, and the pace before them.
    private struct Together: Sendable {
        let time: Double
        var cost: Double
        let before: Double?
    }

    private var together: Together?
    /// When the first unit that it holds became the first.
    private(set) var since = 0.0
    /// Whether it was idle when it was given that unit: the time then includes a round trip.
    private var wasIdle = false
    private struct Pace {
        /// Seconds per unit of cost.
        var seconds: Double
        /// How long it had held a unit that was taken from it and so slowed its pace; nil after its next answer.
        var interruption: Double?
    }

    /// Paces for views and tiles; nil before the first answer.
    private var views: Pace?
    private var tiles: Pace?
    /// Time from sending an answer to receiving the next task, if it was measured.
    private(set) var roundTrip: Double?

    /// Whether its paces come from an earlier connection.
    private var isRecalled = false

    /// The last measured round trip, which a crowded link makes longer.
    private(set) var lastTrip: Double?

    /// Weight of a new measurement in the moving average.
    private static let share = 0.3
    /// Minimum pace and time, to avoid division by zero.
    private static let minTime = 1e-6

    func pace(_ kind: DispatcherState.Kind) -> Double? {
        estimate(kind)?.seconds
    }

    private func estimate(_ kind: DispatcherState.Kind) -> Pace? { kind == .views ? views : tiles }

    /// Whether its pace is a guess, based on units that were taken from it.
    func isGuess(_ kind: DispatcherState.Kind) -> Bool { estimate(kind)?.interruption != nil }

    /// Its time for a unit; nil if neither its own pace nor the others' is known.
    ///
    /// A pace from a unit that was taken from it says little about a much larger unit: the time is then at most as long
    /// as it held that unit, or as the others take.
    func time(for cost: Double, _ kind: DispatcherState.Kind, reference: Double?) -> Double? {
        guard let pace = estimate(kind) else { return reference.map { $0 * cost } }
        guard let interruption = pace.interruption else { return pace.seconds * cost }
        return min(pace.seconds * cost, max(interruption, (reference ?? 0) * cost))
    }

    private mutating func setPace(_ kind: DispatcherState.Kind, _ pace: Pace) {
        if kind == .views { views = pace } else { tiles = pace }
    }

    /// How long it may hold a unit.
    ///
    /// - Parameters:
    ///   - cost: cost of the unit
    ///   - kind: kind of the unit
    ///   - policy: the dispatcher's
    ///   - reference: the others' time for a unit of cost 1, if known
    /// - Returns: seconds
    func lease(
        of cost: Double,
        _ kind: DispatcherState.Kind,
        _ policy: DispatcherState.Policy,
        reference: Double? = nil
    ) -> Double {
        let maxLease = policy.firstLease / .seconds(1)
        guard let time = time(for: cost, kind, reference: reference) else { return maxLease }
        let expected = policy.leaseFactor * (time + (roundTrip ?? 0))
        var lease = max(policy.minLease / .seconds(1), expected)
        // It may not be the same machine.
        if isRecalled { lease = max(lease, policy.leaseFactor * (reference ?? 0) * cost) }
        return self.pace(kind) == nil ? min(lease, maxLease) : lease
    }

    /// How many units it should hold so that it never runs out of work.
    func depth(cost: Double, _ kind: DispatcherState.Kind, _ limits: ClosedRange<Int>) -> Int {
        guard let pace = pace(kind), let roundTrip else { return limits.lowerBound }
        // A quarter more than measured: round trips and views vary.
        let inFlight = (1.25 * roundTrip / max(Self.minTime, pace * cost)).rounded(.up)
        guard inFlight < Double(limits.upperBound) else { return limits.upperBound }
        return max(limits.lowerBound, 1 + Int(inFlight))
    }

    /// How long before a worker finishes what it holds its next unit is sent: a few round trips. Round trips measured
    /// on a crowded link say little, so it is at most a quarter of a unit's time, or the policy's lead if that is more.
    func lead(pace: Double, _ policy: DispatcherState.Policy) -> Double {
        max(policy.lead / .seconds(1), min(3 * (roundTrip ?? 0), pace / 4))
    }

    /// Takes over the speed of an earlier connection, which is probably the same; new measurements replace it.
    mutating func recall(_ other: WorkerSpeed) {
        (views, tiles, roundTrip) = (other.views, other.tiles, other.roundTrip)
        isRecalled = true
    }

    /// Another unit is now the first.
    mutating func begin(at now: Double, idle: Bool) {
        since = now
        wasIdle = idle
    }

    /// It answered the first unit.
    ///
    /// - Parameters:
    ///   - cost: cost of the unit
    ///   - kind: kind of the unit
    ///   - assigned: when it was given the unit
    ///   - spent: its own measurement of the computing time
    ///   - isBatched: whether it computes units together: the answers of a batch then arrive at once, and all but the
    ///     first report that they took no time
    ///   - now: the time
    mutating func finish(
        cost: Double,
        _ kind: DispatcherState.Kind,
        assigned: Double,
        spent: Double?,
        isBatched: Bool = false,
        at now: Double
    ) {
        let elapsed = max(Self.minTime, now - since)
        if isBatched, spent == 0, var together, elapsed < together.time / 2 {
            together.cost += cost
            self.together = together
            return setPace(kind, since: together.before, to: together.time / together.cost)
        }
        var time = elapsed
        if let spent {
            // The computing time cannot exceed the time since the unit was assigned.
            let reported = min(max(0, spent), now - assigned)
            if wasIdle {
                let trip = elapsed - min(reported, elapsed)
                lastTrip = trip
                // The first trips also carry prompts; a shorter one is closer to the truth.
                roundTrip = roundTrip.map { trip < $0 ? trip : 0.9 * $0 + 0.1 * trip } ?? trip
                time = max(min(reported, elapsed), elapsed / 10)
            } else {
                // Answers that were queued together in the socket still came one after the other.
                time = max(elapsed, reported)
            }
        }
        let before = pace(kind)
        together = isBatched ? Together(time: time, cost: cost, before: before) : nil
        setPace(kind, since: before, to: time / cost)
    }

    private mutating func setPace(
        _ kind: DispatcherState.Kind,
        since before: Double?,
        to measured: Double
    ) {
        let pace = max(Self.minTime, measured)
        let known = isRecalled ? nil : before
        if isRecalled { (views, tiles, isRecalled) = (nil, nil, false) }
        let mean = known.map { $0 + Self.share * (pace - $0) } ?? pace
        setPace(kind, Pace(seconds: mean))
    }

    /// The first unit was taken from it, so it is at least that slow. Before its first answer this is informative only
    /// if it was late.
    mutating func interrupt(
        cost: Double,
        _ kind: DispatcherState.Kind,
        isLate: Bool,
        since: Double? = nil,
        at now: Double
    ) {
        let time = now - (since ?? self.since)
        let pace = max(Self.minTime, time / cost)
        let known = estimate(kind)
        guard known.map({ pace > $0.seconds }) ?? isLate else { return }
        setPace(
            kind,
            Pace(seconds: pace, interruption: max(known?.interruption ?? 0, time))
        )
    }
}

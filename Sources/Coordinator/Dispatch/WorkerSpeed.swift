import Protocol

/// How fast a worker is, by the coordinator's clock. Times are in seconds.
struct WorkerSpeed: Sendable {
    /// Since when the first unit that it holds has been the first.
    private(set) var since = 0.0
    /// Whether it had nothing to do when it was given that unit: then a round trip is in its time.
    private var wasIdle = false
    /// Seconds per unit of cost; nil before the first answer.
    private var viewPace: Double?
    private var tilePace: Double?
    /// From an answer sent to the next task received, where it was measured.
    private(set) var roundTrip: Double?

    /// How much of a new measurement enters the average.
    private static let share = 0.3
    /// Shortest pace and time that are believed: nothing is divided by zero.
    private static let shortest = 1e-6

    func pace(_ kind: DispatcherState.Kind) -> Double? {
        kind == .views ? viewPace : tilePace
    }

    private mutating func setPace(_ kind: DispatcherState.Kind, _ pace: Double) {
        if kind == .views { viewPace = pace } else { tilePace = pace }
    }

    /// How long it may hold a unit.
    ///
    /// - Parameters:
    ///   - cost: of the unit
    ///   - kind: of the unit
    ///   - policy: the dispatcher's
    ///   - reference: what others take for a unit of cost 1, where anybody knows
    /// - Returns: seconds
    func lease(
        of cost: Double,
        _ kind: DispatcherState.Kind,
        _ policy: DispatcherState.Policy,
        reference: Double? = nil
    ) -> Double {
        let longest = policy.firstLease / .seconds(1)
        guard let pace = pace(kind) ?? reference else { return longest }
        let expected = policy.leaseFactor * (pace * cost + (roundTrip ?? 0))
        let lease = max(policy.shortestLease / .seconds(1), expected)
        return self.pace(kind) == nil ? min(lease, longest) : lease
    }

    /// How many units it should hold so that one is always there when it has finished another.
    func depth(cost: Double, _ kind: DispatcherState.Kind, _ limits: ClosedRange<Int>) -> Int {
        guard let pace = pace(kind), let roundTrip else { return limits.lowerBound }
        // A quarter more than was measured: round trips and views vary.
        let inFlight = (1.25 * roundTrip / max(Self.shortest, pace * cost)).rounded(.up)
        guard inFlight < Double(limits.upperBound) else { return limits.upperBound }
        return max(limits.lowerBound, 1 + Int(inFlight))
    }

    /// Another unit is the first now.
    mutating func begin(at now: Double, idle: Bool) {
        since = now
        wasIdle = idle
    }

    /// It answered the first unit.
    ///
    /// - Parameters:
    ///   - cost: of the unit
    ///   - kind: of the unit
    ///   - assigned: when it was given the unit
    ///   - spent: how long it says that it computed
    ///   - now: the time
    mutating func finish(
        cost: Double,
        _ kind: DispatcherState.Kind,
        assigned: Double,
        spent: Double?,
        at now: Double
    ) {
        let elapsed = max(Self.shortest, now - since)
        var time = elapsed
        if let spent {
            // Nobody computes for longer than they have had the unit.
            let told = min(max(0, spent), now - assigned)
            if wasIdle {
                let trip = elapsed - min(told, elapsed)
                // The first trips carry prompts too; a shorter one is nearer to the truth.
                roundTrip = roundTrip.map { trip < $0 ? trip : 0.9 * $0 + 0.1 * trip } ?? trip
                time = max(min(told, elapsed), elapsed / 10)
            } else {
                // Answers that lay together in the socket came one after the other all the same.
                time = max(elapsed, told)
            }
        }
        let pace = max(Self.shortest, time / cost)
        setPace(kind, self.pace(kind).map { $0 + Self.share * (pace - $0) } ?? pace)
    }

    /// The first unit was taken from it: it is at least so slow. Before its first answer that tells
    /// something only if it was late.
    mutating func interrupt(
        cost: Double,
        _ kind: DispatcherState.Kind,
        isLate: Bool,
        since: Double? = nil,
        at now: Double
    ) {
        let pace = max(Self.shortest, (now - (since ?? self.since)) / cost)
        if let known = self.pace(kind) {
            setPace(kind, max(known, pace))
        } else if isLate {
            setPace(kind, pace)
        }
    }
}

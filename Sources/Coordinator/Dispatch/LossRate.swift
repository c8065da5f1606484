import Glibc

/// How often units are lost with workers: a worker leaves, or its answer is refused.
struct LossRate: Sendable {
    private var losses = 0.0
    /// Number of units that were answered or lost.
    private var units = 0.0
    /// Time that workers have spent computing units, in seconds.
    private var seconds = 0.0

    /// Number of losses above which all counts are halved, so that earlier losses count less and less.
    private static let memory = 64.0
    /// Minimum number of units for a statement about a fleet.
    private static let fewest = 500.0
    /// One unit in this many may be lost again and again by mere chance.
    private static let rare = 1e7

    static let mostExcused = 4

    mutating func note(seconds: Double) { self.seconds += max(0, seconds) }

    mutating func noteAnswer() { units += 1 }

    mutating func noteLoss() {
        (losses, units) = (losses + 1, units + 1)
        guard losses > Self.memory else { return }
        (losses, units, seconds) = (losses / 2, units / 2, seconds / 2)
    }

    /// Expected number of losses in this many seconds of computing.
    func expected(in seconds: Double) -> Double {
        losses == 0 ? 0 : losses * seconds / max(1, self.seconds)
    }

    /// How many of a unit's losses are no evidence against it: where workers come and go, one unit in millions is lost
    /// three times although nothing is wrong with it, and must not end the render.
    func excused(_ own: Int) -> Int {
        guard own > 0, units >= Self.fewest, losses > Double(own) else { return 0 }
        let share = min(0.5, (losses - Double(own)) / units)
        let byChance = Int((log(Self.rare) / -log(share)).rounded(.up))
        return min(own, max(0, byChance - 3), Self.mostExcused)
    }
}

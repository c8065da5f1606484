/// What is known about a site from checks of its answers, in this render and earlier ones.
package struct SiteRecord: Codable, Equatable, Sendable {
    /// Answers that were compared, and how many of them were wrong.
    package var checked = 0
    package var wrong = 0
    /// Good answers since the last wrong one.
    package var goodSinceWrong = 0
    /// Time of the last wrong answer, in seconds since 1970; nil if there was none.
    package var lastWrong: Double?
    /// Time of the last comparison, in seconds since 1970.
    package var lastChecked = 0.0

    package init() {}

    package mutating func note(isGood: Bool, at time: Double) {
        checked = Self.next(checked)
        lastChecked = time
        if isGood {
            goodSinceWrong = Self.next(goodSinceWrong)
        } else {
            wrong = Self.next(wrong)
            goodSinceWrong = 0
            lastWrong = time
        }
    }

    /// Counts come from a file that may be damaged, so they are clamped.
    private static func next(_ count: Int) -> Int { min(max(count, 0), 1 << 40) + 1 }

    private var isSuspect: Bool { wrong > 0 && goodSinceWrong < 200 }

    /// How many times more often its answers are checked than those of a proven site.
    var weight: Double {
        if isSuspect { return 8 }
        return checked < 10 ? 4 : checked < 100 ? 2 : 1
    }

    /// Checks that it gets in every render, whatever they cost.
    var firstChecks: Int { isSuspect ? 4 : checked < 10 ? 1 : 0 }
}

extension DispatcherState {
    /// Limits that decide when something is given up.
    package struct Policy: Equatable, Sendable {
        /// A worker that is silent for this long is lost.
        package var silence: Duration = .seconds(10)
        /// A batch without an active worker for this long is given up.
        package var grace: Duration = .seconds(60)
        /// The same if every worker has been set aside and no others may join.
        package var graceWithoutHope: Duration = .seconds(30)
        /// Bad answers after which a worker gets no more work.
        package var strikes = 3
        /// Proven hosts that a unit may fail on before it is given up; also the minimum number of attempts.
        package var maxFailures = 3
        /// Unproven hosts that it may fail on, if no proven one is left to try.
        package var maxUnprovenFailures = 8
        /// Whether workers of other hosts may still join: a unit that failed on fewer hosts than `maxFailures`, or on
        /// no proven one, waits for them, up to `grace`.
        package var mayOthersJoin = true
        /// Maximum number of units that a worker may ask for.
        package var credit = 64
        /// Minimum and maximum number of units that a worker holds; between them, as many as hide the round trip.
        package var depths = 2...16
        /// A worker whose units keep it busy for longer than this, and for longer than a few round trips, is given no
        /// more yet: a shared link should first carry what others wait for.
        package var lead: Duration = .seconds(3)
        /// Maximum number of units that a worker holds before its first answer.
        package var firstDepth = 1
        /// A lease is this many times the worker's usual time for the unit.
        package var leaseFactor = 4.0
        /// Minimum lease.
        package var minLease: Duration = .seconds(5)
        /// Maximum lease of a worker that has not answered a unit of this kind yet, and its lease if no worker has.
        package var firstLease: Duration = .seconds(600)
        /// If nobody has answered anything at all, idle workers take copies of units that others hold after this time,
        /// and more of them each time it passes again.
        package var hedge: Duration = .milliseconds(100)
        /// How long a host is paused after its second failure; after each further one, twice as long.
        package var pause: Duration = .seconds(5)
        /// The maximum pause of a host.
        package var maxPause: Duration = .seconds(300)
        /// A unit that takes this many times the usual time is late.
        package var lateFactor = 1.5
        /// A doubtful worker is tried again after this time; the second time, after twice as long.
        package var probation: Duration = .seconds(20)
        /// Nothing counts as late before this time.
        package var minDelay: Duration = .milliseconds(100)
        /// Maximum number of proven workers that compute the same unit at once.
        package var copies = 3
        /// Maximum advance of the clock between two events, so that no worker counts as silent after the whole machine
        /// was suspended.
        package var stall: Duration = .seconds(2)

        package init() {}
    }
}

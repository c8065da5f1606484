extension DispatcherState {
    /// Limits that decide when something is given up.
    package struct Policy: Equatable, Sendable {
        /// A worker that is silent for this long is lost.
        package var silence: Duration = .seconds(10)
        /// A batch that has no active worker for this long is given up.
        package var grace: Duration = .seconds(60)
        /// The same where every worker has been set aside and no others may join.
        package var graceWithoutHope: Duration = .seconds(30)
        /// Bad answers after which a worker gets no more work.
        package var strikes = 3
        /// Proven hosts that a unit may fail on before it is given up; also the minimum number of attempts.
        package var maxFailures = 3
        /// Unproven hosts that it may fail on, if no proven one is left to try.
        package var maxUnprovenFailures = 8
        /// Whether workers of other hosts may still join: a unit that failed on fewer hosts than `maxFailures`,
        /// or on none that is proven, waits for them, up to `grace`.
        package var mayOthersJoin = true
        /// Maximum units that a worker may ask for.
        package var credit = 64
        /// Minimum and maximum units that a worker holds; between them, as many as hide the round trip.
        package var depths = 2...16
        /// A worker that computes what it holds for longer than this, and longer than a few round trips, is given no more yet:
        /// a link that many share carries first what somebody waits for.
        package var lead: Duration = .seconds(3)
        /// Maximum units that a worker holds before its first answer.
        package var firstDepth = 1
        /// A lease lasts this many times the worker's usual time for the unit…
        package var leaseFactor = 4.0
        /// …but at least this long.
        package var minLease: Duration = .seconds(5)
        /// The maximum lease of a worker that has not answered a unit of the kind yet, and its lease
        /// if no worker has.
        package var firstLease: Duration = .seconds(600)
        /// If nobody has answered anything at all, idle workers take copies of units that others hold after
        /// this time, and more of them each time that it has passed again.
        package var hedge: Duration = .milliseconds(100)
        /// How long a host is paused after its second failure; after each further one, twice as long.
        package var pause: Duration = .seconds(5)
        /// The maximum pause of a host.
        package var maxPause: Duration = .seconds(300)
        /// A unit that takes this many times the usual time is late.
        package var lateFactor = 1.5
        /// A doubtful worker is tried again after this time; the second time, after twice as long.
        package var probation: Duration = .seconds(20)
        /// Nothing is late before this time.
        package var minDelay: Duration = .milliseconds(100)
        /// Maximum proven workers that compute one unit at once.
        package var copies = 3
        /// The clock advances by no more than this between two events: after the whole machine was suspended,
        /// no worker counts as silent.
        package var stall: Duration = .seconds(2)

        package init() {}
    }
}

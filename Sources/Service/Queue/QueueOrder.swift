/// Chooses which waiting job goes next. Pure.
///
/// Jobs with the highest priority go first. Among those, users take turns: the user whose jobs have cost least so far
/// is next, with their oldest job. Jobs of the loaded model may overtake it up to `maxPassed` times, so that workers do
/// not have to reload for every job.
package enum QueueOrder {
    /// What determines a job's place in the order.
    package struct Entry: Equatable, Sendable {
        package let id: String
        package let number: Int64
        package let user: String
        package let priority: Int
        package let model: String
        package let passed: Int

        package init(
            id: String,
            number: Int64,
            user: String,
            priority: Int = 0,
            model: String = "",
            passed: Int = 0
        ) {
            (self.id, self.number, self.user) = (id, number, user)
            (self.priority, self.model, self.passed) = (priority, model, passed)
        }
    }

    /// The job that goes next.
    package struct Choice: Equatable, Sendable {
        package let id: String
        /// The job whose turn it was, if it was overtaken because its model is not loaded.
        package let passedOver: String?
    }

    /// How often jobs of the loaded model may overtake one whose turn it is.
    package static let maxPassed = 4

    /// - Parameters:
    ///   - waiting: waiting jobs, in any order
    ///   - loaded: the model loaded by workers; nil if there is none
    ///   - shares: what each user's jobs have cost so far
    /// - Returns: nil if no job is waiting
    package static func next(
        _ waiting: [Entry],
        loaded: String?,
        shares: FairShare
    ) -> Choice? {
        guard let highest = waiting.map(\.priority).max() else { return nil }
        let first = waiting.filter { $0.priority == highest }
        guard let due = turn(first, shares) else { return nil }
        guard let loaded, due.model != loaded, due.passed < maxPassed,
            let suited = turn(first.filter { $0.model == loaded }, shares)
        else { return Choice(id: due.id, passedOver: nil) }
        return Choice(id: suited.id, passedOver: due.id)
    }

    private static func turn(_ entries: [Entry], _ shares: FairShare) -> Entry? {
        entries.min { a, b in
            (shares.start(of: a.user), a.number) < (shares.start(of: b.user), b.number)
        }
    }
}

/// Accounts for the cost of each user's jobs by start-time fair queueing (Goyal, Vin and Cheng, 1996). Pure.
///
/// A user cannot save up turns while absent: their account restarts at the clock, which is the start of the last job.
package struct FairShare: Equatable, Sendable {
    /// Virtual start time of the job that was started last.
    package private(set) var clock: Double
    /// Virtual end times of users' last jobs; those before the clock are dropped.
    package private(set) var ends: [String: Double]

    package init(clock: Double = 0, ends: [String: Double] = [:]) {
        (self.clock, self.ends) = (clock, ends)
    }

    /// The virtual start time of a user's next job.
    package func start(of user: String) -> Double { max(clock, ends[user] ?? clock) }

    /// Charges a user for a job that starts.
    ///
    /// - Parameters:
    ///   - user: owner of the job
    ///   - cost: cost of the job in UNet evaluations
    package mutating func charge(_ user: String, cost: Double) {
        clock = start(of: user)
        ends[user] = clock + max(1, cost)
        ends = ends.filter { $0.value > clock }
    }
}

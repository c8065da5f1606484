/// Which waiting job goes next. Pure.
///
/// Jobs of the highest priority go first. Among them users take turns: the one whose jobs have cost least so far has
/// the next one, and that is the user's oldest. Jobs of the model that is loaded may go before it, so that workers need
/// not reload for every job, but only `maxPassed` times.
package enum QueueOrder {
    /// What decides a job's place.
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
        /// A job whose turn it was, and that waits because its model is not loaded.
        package let passedOver: String?
    }

    /// How often jobs of the loaded model may go before one whose turn it is.
    package static let maxPassed = 4

    /// - Parameters:
    ///   - waiting: in any order
    ///   - loaded: the model that workers have; nil for none
    ///   - shares: what users have had
    /// - Returns: nil if nothing waits
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

/// How much each user's jobs have cost: start-time fair queueing (Goyal, Vin and Cheng, 1996). Pure.
///
/// A user who was away does not save up turns: the account starts at the clock, which is that of the last job.
package struct FairShare: Equatable, Sendable {
    /// Start of the job that was started last.
    package private(set) var clock: Double
    /// Ends of users' last jobs; those before the clock are left out.
    package private(set) var ends: [String: Double]

    package init(clock: Double = 0, ends: [String: Double] = [:]) {
        (self.clock, self.ends) = (clock, ends)
    }

    /// When a user's next job would start, on the clock of costs.
    package func start(of user: String) -> Double { max(clock, ends[user] ?? clock) }

    /// A user's job starts.
    ///
    /// - Parameters:
    ///   - user: whose job it is
    ///   - cost: in UNet evaluations
    package mutating func charge(_ user: String, cost: Double) {
        clock = start(of: user)
        ends[user] = clock + max(1, cost)
        ends = ends.filter { $0.value > clock }
    }
}

/// Selects the events that a caller may see: those of their own jobs and of the service itself.
struct OwnEvents: Sendable {
    let caller: Caller
    let store: JobStore
    /// Whether jobs belong to the caller, cached by job id.
    private var known: [String: Bool] = [:]

    private static let maxKnown = 10_000

    init(caller: Caller, store: JobStore) { (self.caller, self.store) = (caller, store) }

    /// - Throws: `DatabaseError`
    mutating func passes(_ event: EventHub.Event) async throws -> Bool {
        guard let id = event.job, !caller.has(.admin) else { return true }
        if let owner = event.owner { return caller.owns(jobsOf: owner) }
        if let answer = known[id] { return answer }
        let owner = try await Blocking.run { [store] in try store.job(id)?.user }
        let answer = owner.map(caller.owns(jobsOf:)) ?? false
        if known.count >= Self.maxKnown { known = [:] }
        known[id] = answer
        return answer
    }
}

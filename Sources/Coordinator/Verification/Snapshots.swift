/// States of a render between steps, to go back to: a bounded number of them. Pure.
///
/// The first one is always kept: going back to it is starting over. Between the first and the last, those that are closest
/// together are dropped, so that the distance to go back too far stays small beside the distance to go back at all.
package struct Snapshots<State: Sendable>: Sendable {
    package private(set) var entries: [(step: Int, state: State)] = []
    private let capacity: Int

    /// - Parameters:
    ///   - first: the state before the first step
    ///   - capacity: how many are kept, the first one included
    package init(first: State, capacity: Int) {
        precondition(capacity >= 3, "\(capacity)")
        self.capacity = capacity
        entries = [(0, first)]
    }

    package var newest: (step: Int, state: State) { entries[entries.count - 1] }

    /// Adds a state.
    ///
    /// - Parameters:
    ///   - state: before a step
    ///   - step: the step, later than all that are kept
    ///   - needed: the earliest step that may have to be repeated; nil for none
    package mutating func add(_ state: State, before step: Int, needed: Int?) {
        precondition(step > newest.step, "\(step) after \(newest.step)")
        entries.append((step, state))
        // Of the states before that step only the newest is needed, and the first, to start over.
        let base = entries.lastIndex { $0.step <= needed ?? step } ?? 0
        if base > 1 { entries.removeSubrange(1..<base) }
        guard entries.count > capacity else { return }
        // Relative to how far back it is: the gaps grow with the distance.
        let drop = (1..<entries.count - 1).min { gap($0, step) < gap($1, step) }
        if let drop { entries.remove(at: drop) }
    }

    private func gap(_ index: Int, _ now: Int) -> Double {
        Double(entries[index + 1].step - entries[index - 1].step)
            / Double(now - entries[index].step + 1)
    }

    /// Goes back: later states are dropped.
    ///
    /// - Parameter step: which is to be repeated
    /// - Returns: the newest state before it
    package mutating func goBack(to step: Int) -> (step: Int, state: State) {
        entries.removeAll { $0.step > max(0, step) }
        return newest
    }

    /// Puts another state in the place of one.
    package mutating func replace(_ index: Int, by state: State) { entries[index].state = state }

    /// Drops a state that is neither the first nor the newest.
    package mutating func remove(_ index: Int) {
        precondition((1..<entries.count - 1).contains(index), "\(index) of \(entries.count)")
        entries.remove(at: index)
    }

    /// The newest state before a step that stays.
    package func newest(atOrBefore step: Int) -> (step: Int, state: State) {
        entries.last { $0.step <= step } ?? entries[0]
    }
}

/// A bounded number of states of a render between steps, to go back to. Pure.
///
/// The first one is always kept: going back to it means starting over. Between the first and the last, those that are
/// closest together are dropped, so that few steps are repeated needlessly compared with those that must be.
package struct Snapshots<State: Sendable>: Sendable {
    package private(set) var entries: [(step: Int, state: State)] = []
    private let capacity: Int

    /// - Parameters:
    ///   - first: the state before the first step
    ///   - capacity: maximum number of states, including the first
    package init(first: State, capacity: Int) {
        precondition(capacity >= 3, "\(capacity)")
        self.capacity = capacity
        entries = [(0, first)]
    }

    package var newest: (step: Int, state: State) { entries[entries.count - 1] }

    /// Adds a state.
    ///
    /// - Parameters:
    ///   - state: the state before `step`
    ///   - step: the step, later than those of all states that are kept
    ///   - needed: the earliest step that may have to be repeated; nil for none
    package mutating func add(_ state: State, before step: Int, needed: Int?) {
        precondition(step > newest.step, "\(step) after \(newest.step)")
        entries.append((step, state))
        // Of the states before that step, only the newest is needed, and the first one for starting over.
        let base = entries.lastIndex { $0.step <= needed ?? step } ?? 0
        if base > 1 { entries.removeSubrange(1..<base) }
        guard entries.count > capacity else { return }
        // Gaps are relative to how far back they are, so they grow with the distance.
        let drop = (1..<entries.count - 1).min { gap($0, step) < gap($1, step) }
        if let drop { entries.remove(at: drop) }
    }

    private func gap(_ index: Int, _ now: Int) -> Double {
        Double(entries[index + 1].step - entries[index - 1].step)
            / Double(now - entries[index].step + 1)
    }

    /// Goes back: drops later states.
    ///
    /// - Parameter step: the step to be repeated
    /// - Returns: the newest state at or before it
    package mutating func goBack(to step: Int) -> (step: Int, state: State) {
        entries.removeAll { $0.step > max(0, step) }
        return newest
    }

    /// Replaces a state.
    package mutating func replace(_ index: Int, by state: State) { entries[index].state = state }

    /// Drops a state that is neither the first nor the newest.
    package mutating func remove(_ index: Int) {
        precondition((1..<entries.count - 1).contains(index), "\(index) of \(entries.count)")
        entries.remove(at: index)
    }

    /// The newest state at or before a step.
    package func newest(atOrBefore step: Int) -> (step: Int, state: State) {
        entries.last { $0.step <= step } ?? entries[0]
    }
}

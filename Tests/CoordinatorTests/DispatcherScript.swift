import Coordinator

/// A dispatcher that checks its invariants after every event.
struct DispatcherScript {
    var state: DispatcherState
    var time: Duration = .zero

    init(_ change: (inout DispatcherState.Policy) -> Void = { _ in }) {
        var policy = DispatcherState.Policy()
        change(&policy)
        // DispatcherTrustTests covers what unproven workers get.
        policy.firstDepth = policy.depths.lowerBound
        state = DispatcherState(policy: policy)
    }

    @discardableResult
    mutating func on(
        _ event: DispatcherState.Event,
        after pause: Duration = .zero
    ) throws -> [DispatcherState.Action] {
        time += pause
        let actions = state.handle(event, at: time)
        try state.checkInvariants()
        return actions
    }
}

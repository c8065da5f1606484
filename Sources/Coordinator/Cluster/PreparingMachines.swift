import Protocol

/// Machines that fetch the model or load it. Pure.
package struct PreparingMachines: Sendable {
    /// How long a machine may load the model silently before it counts as gone.
    package static let patience: Duration = .seconds(120)

    /// When each machine was last heard from.
    private var heard: [PublicKey: ContinuousClock.Instant] = [:]

    package init() {}

    /// A machine asked for a part of the model, or was told which model to load.
    package mutating func note(_ key: PublicKey, at now: ContinuousClock.Instant) {
        heard[key] = now
    }

    /// A machine has joined.
    package mutating func remove(_ key: PublicKey) { heard[key] = nil }

    /// Keys of the machines that have been heard from recently.
    package func keys(at now: ContinuousClock.Instant) -> Set<PublicKey> {
        Set(heard.filter { $0.value.duration(to: now) < Self.patience }.keys)
    }
}

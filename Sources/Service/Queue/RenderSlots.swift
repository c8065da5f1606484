/// Decides which jobs may be rendered at the same time. Pure.
///
/// If there are several slots, the last one is reserved for small pictures: whatever fills the others, a small picture
/// does not wait behind a large one. All concurrent renders have the same weights (a model and the LoRAs merged into
/// it), so that workers need not reload between their steps.
package enum RenderSlots {
    /// A render in progress.
    package struct Taken: Equatable, Sendable {
        package let weights: String
        /// Number of its UNet evaluations.
        package let evaluations: Int
        /// Whether it occupies the slot for small pictures.
        package let isSmall: Bool

        package init(weights: String, evaluations: Int, isSmall: Bool) {
            (self.weights, self.evaluations, self.isSmall) = (weights, evaluations, isSmall)
        }
    }

    /// A free slot.
    package struct Slot: Equatable, Sendable {
        /// The weights that the render must have; nil for any.
        package let weights: String?
        /// Maximum number of UNet evaluations; nil for no limit.
        package let most: Int?

        package init(weights: String? = nil, most: Int? = nil) {
            (self.weights, self.most) = (weights, most)
        }

        func taken(by job: Job) -> Taken {
            Taken(weights: job.weights, evaluations: job.evaluations, isSmall: most != nil)
        }
    }

    /// A picture counts as small next to one that takes this many times as many evaluations.
    package static let smallness = 4

    /// - Parameters:
    ///   - running: renders in progress
    ///   - count: maximum number of concurrent renders
    /// - Returns: the slot for the next render; nil if none is free
    package static func free(beside running: [Taken], count: Int) -> Slot? {
        let weights = running.first?.weights
        let large = max(1, count - 1)
        if running.count(where: { !$0.isSmall }) < large { return Slot(weights: weights) }
        guard count > 1, !running.contains(where: \.isSmall),
            let most = running.map(\.evaluations).max()
        else { return nil }
        return Slot(weights: weights, most: most / smallness)
    }
}

/// Which jobs may be rendered at once. Pure.
///
/// With several slots the last one is for small pictures only: whatever fills the others, a small one does not wait behind
/// a large one. All renders have the same weights (a model, and the LoRAs that are merged into it), so that workers need not reload between their steps.
package enum RenderSlots {
    /// A render that runs.
    package struct Taken: Equatable, Sendable {
        package let weights: String
        /// UNet calls that it takes.
        package let evaluations: Int
        /// Whether it has the slot for small pictures.
        package let isSmall: Bool

        package init(weights: String, evaluations: Int, isSmall: Bool) {
            (self.weights, self.evaluations, self.isSmall) = (weights, evaluations, isSmall)
        }
    }

    /// Where one more may run.
    package struct Slot: Equatable, Sendable {
        /// The only weights that it may have; nil for any.
        package let weights: String?
        /// UNet calls that it may take; nil for any number.
        package let most: Int?

        package init(weights: String? = nil, most: Int? = nil) {
            (self.weights, self.most) = (weights, most)
        }

        func taken(by job: Job) -> Taken {
            Taken(weights: job.weights, evaluations: job.evaluations, isSmall: most != nil)
        }
    }

    /// A picture is small beside one that takes so many times as much.
    package static let smallness = 4

    /// - Parameters:
    ///   - running: the renders that run
    ///   - count: how many may run
    /// - Returns: what may be begun; nil for nothing
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

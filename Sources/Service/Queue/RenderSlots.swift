/// Which jobs may be rendered at once. Pure.
///
/// With several slots the last one is for small pictures only: whatever fills the others, a small one does not wait behind
/// a large one. All renders have the same model, so that workers need not reload between their steps.
package enum RenderSlots {
    /// A render that runs.
    package struct Taken: Equatable, Sendable {
        package let model: String
        /// UNet calls that it takes.
        package let evaluations: Int
        /// Whether it has the slot for small pictures.
        package let isSmall: Bool

        package init(model: String, evaluations: Int, isSmall: Bool) {
            (self.model, self.evaluations, self.isSmall) = (model, evaluations, isSmall)
        }
    }

    /// Where one more may run.
    package struct Slot: Equatable, Sendable {
        /// The only model that it may have; nil for any.
        package let model: String?
        /// UNet calls that it may take; nil for any number.
        package let most: Int?

        package init(model: String? = nil, most: Int? = nil) {
            (self.model, self.most) = (model, most)
        }

        func taken(by job: Job) -> Taken {
            Taken(model: job.model, evaluations: job.evaluations, isSmall: most != nil)
        }
    }

    /// A picture is small beside one that takes so many times as much.
    package static let smallness = 4

    /// - Parameters:
    ///   - running: the renders that run
    ///   - count: how many may run
    /// - Returns: what may be begun; nil for nothing
    package static func free(beside running: [Taken], count: Int) -> Slot? {
        let model = running.first?.model
        let large = max(1, count - 1)
        if running.count(where: { !$0.isSmall }) < large { return Slot(model: model) }
        guard count > 1, !running.contains(where: \.isSmall),
            let most = running.map(\.evaluations).max()
        else { return nil }
        return Slot(model: model, most: most / smallness)
    }
}

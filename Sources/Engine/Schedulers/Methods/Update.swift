/// The update of a step as a linear combination of the available values. Samplers write the formulas of their papers
/// with it; the coefficients are computed once before the run, in double precision.
struct Update: Equatable, Sendable {
    /// Coefficients of the latent x, the network's output, the estimate of x₀, fresh unit noise, and the tensors
    /// that earlier steps remembered.
    var latent = 0.0
    var output = 0.0
    var estimate = 0.0
    var noise = 0.0
    var memory: [Double] = []

    /// The latent before the step.
    static let x = Update(latent: 1)
    /// The network's output.
    static let output = Update(output: 1)
    /// The estimate of the clean latent.
    static let x0 = Update(estimate: 1)
    /// Fresh unit noise.
    static let z = Update(noise: 1)

    /// What the previous step stored at index `place` of its `Transition.memory`.
    static func remembered(_ place: Int) -> Update {
        Update(memory: (0...place).map { $0 == place ? 1 : 0 })
    }

    /// All coefficients.
    var coefficients: [Double] { [latent, output, estimate, noise] + memory }

    static func + (a: Update, b: Update) -> Update {
        Update(
            latent: a.latent + b.latent,
            output: a.output + b.output,
            estimate: a.estimate + b.estimate,
            noise: a.noise + b.noise,
            memory: (0..<max(a.memory.count, b.memory.count)).map { i in
                (i < a.memory.count ? a.memory[i] : 0) + (i < b.memory.count ? b.memory[i] : 0)
            }
        )
    }

    static func - (a: Update, b: Update) -> Update { a + -1 * b }

    static func * (factor: Double, a: Update) -> Update {
        Update(
            latent: factor * a.latent,
            output: factor * a.output,
            estimate: factor * a.estimate,
            noise: factor * a.noise,
            memory: a.memory.map { factor * $0 }
        )
    }
}

/// The outcome of a step: the next latent, and what to remember for the next step.
struct Transition: Equatable, Sendable {
    let update: Update
    let memory: [Update]

    init(_ update: Update, remembering memory: [Update] = []) {
        (self.update, self.memory) = (update, memory)
    }

    /// Number of remembered tensors that it needs.
    var needs: Int { ([update] + memory).map(\.memory.count).max() ?? 0 }
}

extension Scheduler {
    /// One evaluation of the network and what follows from it.
    struct Step: Equatable, Sendable {
        /// The noise level at which it begins.
        let level: NoiseLevel
        /// Transitions in increasing order: a multistep sampler takes the last one for which enough is remembered, so
        /// that a run may begin at any step.
        let transitions: [Transition]
        /// Whether it is a second evaluation within a step; no run can begin there.
        let isIntermediate: Bool

        init(level: NoiseLevel, update: Update) {
            self.init(level: level, transitions: [Transition(update)])
        }

        init(level: NoiseLevel, transitions: [Transition], isIntermediate: Bool = false) {
            (self.level, self.transitions) = (level, transitions)
            self.isIntermediate = isIntermediate
        }

        /// The transition to take when `count` tensors are remembered.
        func transition(remembering count: Int) -> Transition {
            guard let found = transitions.last(where: { $0.needs <= count }) else {
                preconditionFailure("a run began between two evaluations of one step")
            }
            return found
        }
    }
}

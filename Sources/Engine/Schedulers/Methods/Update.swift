/// The update of a step as a linear combination of the available values. Samplers write their papers' formulas with
/// it; the coefficients are computed once, in double precision, before the run.
struct Update: Equatable, Sendable {
    /// Coefficients of the latent x, of the network's output, of the estimate of x₀, of the previous step's estimate, and
    /// of fresh unit noise.
    var latent = 0.0
    var output = 0.0
    var estimate = 0.0
    var previous = 0.0
    var noise = 0.0

    /// The latent before the step.
    static let x = Update(latent: 1)
    /// The network's output.
    static let output = Update(output: 1)
    /// The estimate of the clean latent.
    static let x0 = Update(estimate: 1)
    /// The previous step's estimate; if there is none, `x0`.
    static let previousX0 = Update(previous: 1)
    /// Fresh unit noise.
    static let z = Update(noise: 1)

    static func + (a: Update, b: Update) -> Update {
        Update(
            latent: a.latent + b.latent,
            output: a.output + b.output,
            estimate: a.estimate + b.estimate,
            previous: a.previous + b.previous,
            noise: a.noise + b.noise
        )
    }

    static func - (a: Update, b: Update) -> Update { a + -1 * b }

    static func * (factor: Double, a: Update) -> Update {
        Update(
            latent: factor * a.latent,
            output: factor * a.output,
            estimate: factor * a.estimate,
            previous: factor * a.previous,
            noise: factor * a.noise
        )
    }
}

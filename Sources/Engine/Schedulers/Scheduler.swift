import Foundation

/// Computes the next latent from a prediction. A value: a step gets all its inputs as arguments, and its
/// history is passed in and out.
///
/// Follows Diffusers' schedulers of the same names. Each step is a linear combination of the
/// latent, the prediction, the previous step's estimate of the picture and fresh noise, whose
/// coefficients are fixed beforehand.
package struct Scheduler: Sendable {
    package let kind: SchedulerKind
    /// Timesteps of the run, the noisiest first.
    package let timesteps: [Float]
    /// Noise levels σ of the run and a final 0; empty for schedulers without σ.
    package let sigmas: [Float]
    /// Standard deviation of the latent that phase 1 starts from.
    package let initNoiseSigma: Float
    /// Number of timesteps of the training schedule.
    package let trainTimesteps: Int
    private let steps: [Step]

    /// What a multistep scheduler remembers: the last estimate of the clean latent.
    package struct History: Sendable {
        package let estimate: Tensor?

        package init(estimate: Tensor? = nil) { self.estimate = estimate }
    }

    /// The constants of one step.
    struct Step: Equatable, Sendable {
        /// Where it begins.
        let level: NoiseLevel
        /// Its update.
        let update: Update
    }

    /// - Parameters:
    ///   - kind: the sampler
    ///   - config: the model's training schedule
    ///   - steps: number of timesteps
    ///   - karras: uses Karras noise levels, whatever the configuration says
    ///   - choice: timestep settings that override the configuration
    /// - Throws: `InputError` when the combination does not exist
    package init(
        _ kind: SchedulerKind,
        config: SchedulerConfig,
        steps: Int,
        karras: Bool = false,
        choice: ScheduleChoice = ScheduleChoice()
    ) throws(InputError) {
        let limit = kind.method.maxSteps(config)
        guard (1...limit).contains(steps) else {
            throw InputError(
                "--steps",
                "\(kind.rawValue) takes 1 to \(limit) steps",
                fix: "Choose fewer"
            )
        }
        if karras && !kind.method.hasKarrasLevels {
            throw InputError(
                "--karras",
                "\(kind.rawValue) does not support Karras noise levels",
                fix: "Use it with --scheduler euler or dpmpp_2m"
            )
        }
        try choice.check(kind, karras: karras)
        self.kind = kind
        trainTimesteps = config.trainTimesteps
        var config = config
        config.karras = config.karras || karras
        config.apply(choice)
        let run = kind.method.run(config, NoiseSchedule(config), steps: steps)
        timesteps = run.timesteps.map { Float($0) }
        sigmas = run.sigmas
        initNoiseSigma = run.initNoiseSigma
        self.steps = run.steps
    }

    /// Refuses a schedule that no picture can be made with: training schedules whose levels do not change,
    /// for example, or noise without any signal where the network predicts the noise.
    ///
    /// - Parameter place: of the configuration
    /// - Throws: `InputError` naming it
    package func checkFinite(place: String) throws(InputError) {
        let coefficients = steps.flatMap { step in
            [
                step.level.clean, step.level.noise, step.level.inputScale, step.level.fromLatent,
                step.level.fromOutput, step.update.latent, step.update.output,
                step.update.estimate, step.update.previous, step.update.noise,
            ].map { Float($0) }
        }
        let isFinite =
            (coefficients + sigmas + timesteps + [initNoiseSigma]).allSatisfy(\.isFinite)
            && steps.allSatisfy { $0.level.fromOutput != 0 }
        guard isFinite else {
            throw InputError(
                place,
                "with \(kind.rawValue) its noise schedule has steps that are NaN, infinite or empty",
                fix: "Compare it with the model's original file, or choose another --scheduler"
            )
        }
    }

    /// Timesteps, levels and steps of one run.
    struct Run {
        var timesteps: [Double]
        var sigmas: [Float] = []
        var initNoiseSigma: Float = 1
        var steps: [Step]
    }

    /// Whether `step` needs fresh noise.
    package var drawsNoise: Bool { kind.method.drawsNoise }

    /// The model reads the latent times this at step `i`.
    package func inputScale(at i: Int) -> Float { Float(steps[i].level.inputScale) }

    /// The latent as the model reads it.
    package func scaleModelInput(_ x: Tensor, at i: Int) -> Tensor {
        steps[i].level.inputScale == 1 ? x : x * inputScale(at: i)
    }

    /// Adds noise to a clean latent, up to the level of step `i`.
    package func addNoise(_ clean: Tensor, _ noise: Tensor, at i: Int) -> Tensor {
        let (a, b) = (Float(steps[i].level.clean), Float(steps[i].level.noise))
        return clean.zip(noise) { a * $0 + b * $1 }
    }

    /// The prediction that a model would have made whose estimate of the noiseless latent is another one.
    ///
    /// - Parameters:
    ///   - output: what the model predicted
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - change: returns another estimate, given the model's
    /// - Returns: a prediction for `step`
    package func output(
        _ output: Tensor,
        at i: Int,
        from x: Tensor,
        changingEstimate change: (Tensor) -> Tensor
    ) -> Tensor {
        let (p, q) = (Float(steps[i].level.fromLatent), Float(steps[i].level.fromOutput))
        let estimate = x.zip(output) { p * $0 + q * $1 }
        return output.zip(change(estimate) - estimate) { $0 + $1 / q }
    }

    /// Takes step `i`.
    ///
    /// - Parameters:
    ///   - output: what the model predicted
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - history: of the previous steps in the same run; updated
    ///   - noise: unit noise, if `drawsNoise`
    /// - Returns: the latent after the step
    package func step(
        _ output: Tensor,
        at i: Int,
        from x: Tensor,
        history: inout History,
        noise: Tensor?
    ) -> Tensor {
        let (level, update) = (steps[i].level, steps[i].update)
        let (p, q) = (Float(level.fromLatent), Float(level.fromOutput))
        let estimate = x.zip(output) { p * $0 + q * $1 }
        let (keep, direct) = (Float(update.latent), Float(update.output))
        let weight = Float(update.estimate)
        var next = x.zip(output) { keep * $0 + direct * $1 }
        next = next.zip(estimate) { $0 + weight * $1 }
        if update.previous != 0 {
            // A run that begins here has no history: this step is first-order.
            let (weight, previous) = (Float(update.previous), history.estimate ?? estimate)
            next = next.zip(previous) { $0 + weight * $1 }
        }
        if update.noise != 0 {
            guard let noise else { preconditionFailure("\(kind) needs noise at step \(i)") }
            let weight = Float(update.noise)
            next = next.zip(noise) { $0 + weight * $1 }
        }
        if kind.method.remembersEstimate { history = History(estimate: estimate) }
        return next
    }
}

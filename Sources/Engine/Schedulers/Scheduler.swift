import Foundation

/// Turns predictions into the next latent. A value: everything that a step needs comes in, and its
/// history goes out.
///
/// Follows Diffusers' schedulers of the same names. Each step is a linear combination of the
/// latent, the prediction, the previous step's estimate of the picture and fresh noise, whose
/// coefficients are fixed beforehand.
package struct Scheduler: Sendable {
    package let kind: SchedulerKind
    /// Timesteps of the run, the noisiest first.
    package let timesteps: [Float]
    /// Noise levels σ of the run and a final 0; empty for schedulers that have none.
    package let sigmas: [Float]
    /// Standard deviation of the latent that phase 1 starts from.
    package let initNoiseSigma: Float
    /// Timesteps of the training schedule.
    package let trainTimesteps: Int
    /// ᾱ of every training timestep.
    package let alphasCumprod: [Float]
    /// What the network predicts.
    package let prediction: PredictionType
    private let steps: [Step]

    /// What a multistep scheduler remembers: the last estimate of the noiseless latent.
    package struct History: Sendable {
        package let estimate: Tensor?

        package init(estimate: Tensor? = nil) { self.estimate = estimate }
    }

    /// The fixed numbers of one step.
    struct Step: Equatable, Sendable {
        /// The model reads the latent times this.
        var inputScale = 1.0
        /// `addNoise`: this much of the clean latent and of the noise.
        var clean = 1.0
        var noise = 0.0
        /// Estimate of the noiseless latent: `fromLatent`·x + `fromOutput`·m.
        var fromLatent = 0.0
        var fromOutput = 0.0
        /// Next latent: x, m, the estimate, the previous estimate and fresh noise, each by a factor.
        var keep = 0.0
        var output = 0.0
        var estimate = 0.0
        var previous = 0.0
        var fresh = 0.0
    }

    /// - Parameters:
    ///   - kind: the method
    ///   - config: the model's training schedule
    ///   - steps: number of timesteps
    ///   - karras: spaces noise levels as Karras et al., whatever the configuration says
    /// - Throws: `InputError` when the combination does not exist
    package init(
        _ kind: SchedulerKind,
        config: SchedulerConfig,
        steps: Int,
        karras: Bool = false
    ) throws(InputError) {
        let limit = kind == .lcm ? config.originalSteps : config.trainTimesteps
        guard (1...limit).contains(steps) else {
            throw InputError(
                "--steps",
                "\(kind.rawValue) takes 1 to \(limit) steps",
                fix: "Choose fewer"
            )
        }
        if karras && (kind == .ddim || kind == .lcm || kind == .eulerAncestral) {
            throw InputError(
                "--karras",
                "\(kind.rawValue) has no Karras noise levels",
                fix: "Use it with --scheduler euler or dpmpp_2m"
            )
        }
        self.kind = kind
        trainTimesteps = config.trainTimesteps
        var config = config
        config.karras = config.karras || karras
        let schedule = NoiseSchedule(config)
        alphasCumprod = schedule.alphasCumprod
        prediction = config.prediction
        let run: Run
        switch kind {
        case .ddim: run = .ddim(config, schedule, steps)
        case .euler: run = .euler(config, schedule, steps, ancestral: false)
        case .eulerAncestral: run = .euler(config, schedule, steps, ancestral: true)
        case .dpmSolver: run = .multistep(config, schedule, steps)
        case .lcm: run = .lcm(config, schedule, steps)
        }
        timesteps = run.timesteps.map { Float($0) }
        sigmas = run.sigmas
        initNoiseSigma = run.initNoiseSigma
        self.steps = run.steps
    }

    /// Timesteps, levels and steps of one run.
    struct Run {
        var timesteps: [Double]
        var sigmas: [Float] = []
        var initNoiseSigma: Float = 1
        var steps: [Step]
    }

    /// Whether `step` needs fresh noise.
    package var drawsNoise: Bool { kind == .eulerAncestral || kind == .lcm }

    /// The model reads the latent times this at step `i`.
    package func inputScale(at i: Int) -> Float { Float(steps[i].inputScale) }

    /// The latent as the model reads it.
    package func scaleModelInput(_ x: Tensor, at i: Int) -> Tensor {
        steps[i].inputScale == 1 ? x : x * inputScale(at: i)
    }

    /// Noises a clean latent to the level of step `i`.
    package func addNoise(_ clean: Tensor, _ noise: Tensor, at i: Int) -> Tensor {
        let (a, b) = (Float(steps[i].clean), Float(steps[i].noise))
        return clean.zip(noise) { a * $0 + b * $1 }
    }

    /// The prediction that a model would have made whose estimate of the noiseless latent is another one.
    ///
    /// - Parameters:
    ///   - output: what it predicted
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - change: gives another estimate for its own
    /// - Returns: a prediction for `step`
    package func output(
        _ output: Tensor,
        at i: Int,
        from x: Tensor,
        changingEstimate change: (Tensor) -> Tensor
    ) -> Tensor {
        let (p, q) = (Float(steps[i].fromLatent), Float(steps[i].fromOutput))
        let estimate = x.zip(output) { p * $0 + q * $1 }
        return output.zip(change(estimate) - estimate) { $0 + $1 / q }
    }

    /// Takes step `i`.
    ///
    /// - Parameters:
    ///   - output: what the model predicted
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - history: of the steps before in the same run; updated
    ///   - noise: unit noise, where `drawsNoise`
    /// - Returns: the latent after the step
    package func step(
        _ output: Tensor,
        at i: Int,
        from x: Tensor,
        history: inout History,
        noise: Tensor?
    ) -> Tensor {
        let s = steps[i]
        let (p, q) = (Float(s.fromLatent), Float(s.fromOutput))
        let estimate = x.zip(output) { p * $0 + q * $1 }
        let (keep, direct) = (Float(s.keep), Float(s.output))
        let weight = Float(s.estimate)
        var next = x.zip(output) { keep * $0 + direct * $1 }
        next = next.zip(estimate) { $0 + weight * $1 }
        if s.previous != 0 {
            // A run that begins here has no history: then this is the step of first order.
            let (weight, previous) = (Float(s.previous), history.estimate ?? estimate)
            next = next.zip(previous) { $0 + weight * $1 }
        }
        if s.fresh != 0 {
            guard let noise else { preconditionFailure("\(kind) needs noise at step \(i)") }
            let weight = Float(s.fresh)
            next = next.zip(noise) { $0 + weight * $1 }
        }
        if kind == .dpmSolver { history = History(estimate: estimate) }
        return next
    }
}

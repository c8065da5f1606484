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
    /// Timesteps of the training schedule at which a latent is as noisy: `timesteps`, unless the network reads noise levels.
    package let positions: [Float]
    /// Noise levels σ of the run and a final 0; empty for schedulers without σ.
    package let sigmas: [Float]
    /// Standard deviation of the latent that phase 1 starts from.
    package let initNoiseSigma: Float
    /// Number of timesteps of the training schedule.
    package let trainTimesteps: Int
    private let steps: [Step]
    private let config: SchedulerConfig
    /// Where a clean latent is read that is to be noised by what the model sees in it.
    private let cleanest: NoiseLevel
    /// The timestep at which it reads a clean latent.
    package let cleanestTimestep: Float
    /// What it multiplies a clean latent by.
    package var cleanestInputScale: Float { Float(cleanest.inputScale) }

    /// What a step leaves for the next one of the same run: estimates of the last steps, or the latent before a step
    /// of two evaluations. Empty where a run begins.
    package struct History: Sendable {
        package let tensors: [Tensor]

        package init(_ tensors: [Tensor] = []) { self.tensors = tensors }
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
        let isRespaced = karras || choice.levels != nil || choice.isSGMUniform
        let limit =
            isRespaced && kind == .lcm ? config.trainTimesteps : kind.method.maxSteps(config)
        guard (1...limit).contains(steps) else {
            throw InputError(
                "--steps",
                "\(kind.rawValue) takes 1 to \(limit) steps",
                fix: "Choose fewer"
            )
        }
        if karras, config.edm == nil, let reason = kind.ownTimesteps {
            throw reason.error("--karras")
        }
        if config.edm == nil {
            try choice.check(kind, karras: karras)
        } else {
            try EDMLevels.check(kind, choice)
        }
        var config = config
        if !kind.readsSpacing { config.dropSpacing() }
        if karras { config.levelSpacing = .karras }
        config.apply(choice)
        self.init(kind, config, ScheduleSpan(steps: steps))
    }

    /// The same method over the end of the training schedule, down to a clean latent: trailing timesteps, those
    /// that an LCM was distilled on, or SGM's uniform ones.
    ///
    /// - Parameters:
    ///   - share: of the training schedule, above 0 and below 1
    ///   - steps: number of timesteps
    /// - Returns: the scheduler of that run
    /// - Throws: `InputError` when there are not as many timesteps in that share
    package func ending(share: Double, steps: Int) throws(InputError) -> Scheduler {
        precondition(share > 0 && share < 1 && steps > 0, "\(share), \(steps)")
        var config = config
        config.apply(
            ScheduleChoice(finalSigma: .zero, isSGMUniform: config.isSGMUniform)
        )
        let run = Scheduler(kind, config, ScheduleSpan(steps: steps, share: share))
        let begun = run.starts.map { run.positions[$0] }
        guard Swift.zip(begun, begun.dropFirst()).allSatisfy({ $0 > $1 }) else {
            throw InputError(
                "--refine-steps",
                "the last \(share) of \(kind.rawValue)'s schedule has fewer than \(steps) timesteps",
                fix: "Choose fewer steps or a larger --refine-from"
            )
        }
        return run
    }

    private init(_ kind: SchedulerKind, _ config: SchedulerConfig, _ span: ScheduleSpan) {
        self.kind = kind
        self.config = config
        trainTimesteps = config.edm == nil ? config.trainTimesteps : EDMLevels.Positions.count
        let run: Run
        if let edm = config.edm {
            let clean = edm.cleanest(config.prediction)
            (cleanest, cleanestTimestep) = (clean.level, Float(clean.timestep))
            run = edm.run(kind, config, span)
        } else {
            let schedule = NoiseSchedule(config)
            let alpha = Double(schedule.alphasCumprod[0])
            cleanest = .variancePreserving(
                alpha: alpha.squareRoot(),
                sigma: (1 - alpha).squareRoot(),
                config.prediction
            )
            cleanestTimestep = 0
            run = kind.method.run(kind, config, schedule, span)
        }
        timesteps = run.timesteps.map { Float($0) }
        positions = (run.positions ?? run.timesteps).map { Float($0) }
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
            let updates = step.transitions.flatMap { [$0.update] + $0.memory }
            return
                ([
                    step.level.clean, step.level.noise, step.level.inputScale,
                    step.level.fromLatent, step.level.fromOutput,
                ] + updates.flatMap(\.coefficients)).map { Float($0) }
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
        /// Timesteps of a training schedule at which a latent is as noisy; nil where those are the timesteps.
        var positions: [Double]?
        var sigmas: [Float] = []
        var initNoiseSigma: Float = 1
        var steps: [Step]
    }

    /// Whether `step` needs fresh noise.
    package var drawsNoise: Bool {
        kind.method.drawsNoise
            || steps.contains { $0.transitions.contains { $0.update.noise != 0 } }
    }

    /// The step, counted from 0, that an evaluation belongs to.
    package func step(ofEvaluation i: Int) -> Int {
        steps[...i].count { !$0.isIntermediate } - 1
    }

    /// Indices into `timesteps` of the steps that a run can begin at: all but second evaluations of a step.
    package var starts: [Int] { steps.indices.filter { !steps[$0].isIntermediate } }

    /// The noise level of step `i`: σ/α, the standard deviation of the noise where that of the picture is its own;
    /// infinite for pure noise.
    package func noiseLevel(at i: Int) -> Double { steps[i].level.noise / steps[i].level.clean }

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

    /// The noise that a model sees in a clean latent, by what it predicts for it at timestep 0: where deterministic
    /// inversion begins (Song et al., 2021).
    ///
    /// - Parameters:
    ///   - output: what it predicted
    ///   - clean: the latent, of the same shape
    /// - Returns: the noise, of that shape
    package func noise(_ output: Tensor, in clean: Tensor) -> Tensor {
        let (a, b) = (Float(cleanest.epsilon.latent), Float(cleanest.epsilon.output))
        return clean.zip(output) { a * $0 + b * $1 }
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

    /// How much the latent and a model's output count in the estimate of the noiseless latent at step `i`.
    package func estimateWeights(at i: Int) -> (latent: Float, prediction: Float) {
        (Float(steps[i].level.fromLatent), Float(steps[i].level.fromOutput))
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
        let level = steps[i].level
        let transition = steps[i].transition(remembering: history.tensors.count)
        let (p, q) = (Float(level.fromLatent), Float(level.fromOutput))
        let estimate = x.zip(output) { p * $0 + q * $1 }
        func value(_ update: Update) -> Tensor {
            // What is remembered as it is keeps its bits.
            if update == .x0 { return estimate }
            let (keep, direct) = (Float(update.latent), Float(update.output))
            let weight = Float(update.estimate)
            var sum = x.zip(output) { keep * $0 + direct * $1 }
            if update.estimate != 0 { sum = sum.zip(estimate) { $0 + weight * $1 } }
            for (weight, tensor) in Swift.zip(update.memory, history.tensors) where weight != 0 {
                let weight = Float(weight)
                sum = sum.zip(tensor) { $0 + weight * $1 }
            }
            if update.noise != 0 {
                guard let noise else { preconditionFailure("\(kind) needs noise at step \(i)") }
                let weight = Float(update.noise)
                sum = sum.zip(noise) { $0 + weight * $1 }
            }
            return sum
        }
        let next = value(transition.update)
        history = History(transition.memory.map(value))
        return next
    }
}

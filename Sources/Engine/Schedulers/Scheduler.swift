import Foundation

/// Computes the next latent from a prediction. It is a value: a step gets all its inputs as arguments, and its
/// history is passed in and out.
///
/// Follows Diffusers' schedulers of the same names. Each step is a linear combination of the latent, the
/// prediction, the estimate of the clean latent, what earlier steps left, and fresh noise. The coefficients
/// are computed before the run.
package struct Scheduler: Sendable {
    package let kind: SchedulerKind
    /// Timesteps of the run, the noisiest first.
    package let timesteps: [Float]
    /// Training timesteps with the same noise levels: `timesteps`, unless the network takes noise levels instead.
    package let positions: [Float]
    /// Noise levels σ of the run, followed by the level that the last step ends at; empty for schedulers without σ.
    package let sigmas: [Float]
    /// Standard deviation of the latent that phase 1 starts from.
    package let initNoiseSigma: Float
    /// Number of timesteps in the training schedule.
    package let trainTimesteps: Int
    private let steps: [Step]
    private let config: SchedulerConfig
    /// Noise level at which the network reads a clean latent, for deterministic inversion.
    private let cleanest: NoiseLevel
    /// Timestep at which the network reads a clean latent.
    package let cleanestTimestep: Float
    /// Factor by which a clean latent is multiplied for the network.
    package var cleanestInputScale: Float { Float(cleanest.inputScale) }

    /// What a step leaves for the next one of the same run: the estimates of the last steps, or the latent before a
    /// step with two evaluations. Empty at the start of a run.
    package struct History: Sendable {
        package let tensors: [Tensor]

        package init(_ tensors: [Tensor] = []) { self.tensors = tensors }
    }

    /// - Parameters:
    ///   - kind: the sampler
    ///   - config: the model's training schedule
    ///   - steps: number of timesteps
    ///   - karras: use Karras noise levels, whatever the configuration says
    ///   - choice: timestep settings that override the configuration
    /// - Throws: `InputError` if the combination is not supported
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

    /// The same sampler over the end of the training schedule, down to a clean latent: with trailing timesteps, those
    /// that an LCM was distilled on, or SGM's uniform ones.
    ///
    /// - Parameters:
    ///   - share: share of the training schedule, above 0 and below 1
    ///   - steps: number of timesteps
    /// - Returns: the scheduler of that run
    /// - Throws: `InputError` if that share has fewer timesteps
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

    /// Rejects a schedule that cannot produce a picture: for example, training schedules whose noise levels do not
    /// change, or pure noise without any signal if the network predicts the noise.
    ///
    /// - Parameter place: path of the configuration
    /// - Throws: `InputError` naming the configuration
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

    /// Timesteps, noise levels and steps of one run.
    struct Run {
        var timesteps: [Double]
        /// Training timesteps with the same noise levels; nil if these are the timesteps themselves.
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

    /// The step, counted from 0, that evaluation `i` belongs to.
    package func step(ofEvaluation i: Int) -> Int {
        steps[...i].count { !$0.isIntermediate } - 1
    }

    /// Indices into `timesteps` of the steps at which a run can begin: all except second evaluations of a step.
    package var starts: [Int] { steps.indices.filter { !steps[$0].isIntermediate } }

    /// The noise level of step `i`: σ/α, the standard deviation of the noise when the picture is scaled to its
    /// own; infinite for pure noise.
    package func noiseLevel(at i: Int) -> Double { steps[i].level.noise / steps[i].level.clean }

    /// Factor by which the latent is multiplied for the model at step `i`.
    package func inputScale(at i: Int) -> Float { Float(steps[i].level.inputScale) }

    /// The latent scaled for the model.
    package func scaleModelInput(_ x: Tensor, at i: Int) -> Tensor {
        steps[i].level.inputScale == 1 ? x : x * inputScale(at: i)
    }

    /// Adds noise to a clean latent, up to the level of step `i`.
    package func addNoise(_ clean: Tensor, _ noise: Tensor, at i: Int) -> Tensor {
        let (a, b) = (Float(steps[i].level.clean), Float(steps[i].level.noise))
        return clean.zip(noise) { a * $0 + b * $1 }
    }

    /// The noise that a model sees in a clean latent, given its prediction at `cleanestTimestep`. Deterministic
    /// inversion begins with it (Song et al., 2021).
    ///
    /// - Parameters:
    ///   - output: the model's prediction
    ///   - clean: the latent, of the same shape
    /// - Returns: the noise, of the same shape
    package func noise(_ output: Tensor, in clean: Tensor) -> Tensor {
        let (a, b) = (Float(cleanest.epsilon.latent), Float(cleanest.epsilon.output))
        return clean.zip(output) { a * $0 + b * $1 }
    }

    /// Changes a prediction so that its estimate of the noiseless latent becomes another one.
    ///
    /// - Parameters:
    ///   - output: the model's prediction
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - change: returns the new estimate, given the model's
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

    /// Weights of the latent and of the model's output in the estimate of the noiseless latent at step `i`.
    package func estimateWeights(at i: Int) -> (latent: Float, prediction: Float) {
        (Float(steps[i].level.fromLatent), Float(steps[i].level.fromOutput))
    }

    /// Takes step `i`.
    ///
    /// - Parameters:
    ///   - output: the model's prediction
    ///   - i: index into `timesteps`
    ///   - x: the latent before the step
    ///   - history: history of the same run's previous steps; updated
    ///   - noise: unit normal noise, if `drawsNoise`
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
            // An unchanged estimate keeps its exact bits.
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

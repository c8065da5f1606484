/// Pseudo linear multistep of fourth order (Liu et al., 2022, "PLMS"), as Stable Diffusion 1 uses it:
/// without Runge-Kutta steps, but the first step is taken again with the mean of both slopes. One more
/// evaluation than there are steps.
enum PNDM: SamplingMethod {
    /// Adams–Bashforth weights of the last noise predictions, the latest first.
    private static let weights: [[Double]] = [
        [1], [3.0 / 2, -1.0 / 2], [23.0 / 12, -16.0 / 12, 5.0 / 12],
        [55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24],
    ]

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let timesteps = Timesteps.whole(config, span)
        let alphas = schedule.alphasCumprod
        func level(_ t: Double) -> NoiseLevel {
            let alpha = Double(alphas[Int(t)])
            return .variancePreserving(
                alpha: alpha.squareRoot(),
                sigma: (1 - alpha).squareRoot(),
                config.prediction
            )
        }
        // Equation 11: from x at one timestep to another, with an average ε′ of noise predictions. The network's
        // outputs are averaged first, then converted to noise at the level of the step. Nil means the clean latent.
        func step(from t: Int, to before: Int?, _ x: Update, _ average: Update) -> Update {
            let now = Double(alphas[t])
            let next =
                before.map { Double(alphas[$0]) }
                ?? (config.setsAlphaToOne ? 1 : Double(alphas[0]))
            let noise =
                config.prediction == .epsilon
                ? average : now.squareRoot() * average + (1 - now).squareRoot() * x
            let scale =
                now * (1 - next).squareRoot() + (now * (1 - now) * next).squareRoot()
            return (next / now).squareRoot() * x - (next - now) / scale * noise
        }
        let outputs = [Update.output] + (0..<3).map { Update.remembered($0) }
        var run = Scheduler.Run(timesteps: timesteps, steps: [])
        for i in timesteps.indices {
            let before = Timesteps.following(i, of: timesteps, config, span)
            let transitions = (1...min(4, i + 1)).map { order in
                let average = Swift.zip(weights[order - 1], outputs).reduce(Update()) {
                    $0 + $1.0 * $1.1
                }
                return Transition(
                    step(from: Int(timesteps[i]), to: before, .x, average),
                    remembering: Array(outputs.prefix(min(order, 3)))
                        + (i == 0 && timesteps.count > 1 ? [.x] : [])
                )
            }
            run.steps.append(Scheduler.Step(level: level(timesteps[i]), transitions: transitions))
            guard i == 0, timesteps.count > 1 else { continue }
            run.timesteps.insert(timesteps[1], at: 1)
            // Like Diffusers, which counts back to the first timestep; because of rounding,
            // the result may differ from it.
            let end = Int(timesteps[1])
            let first =
                span.share == nil
                ? min(end + config.trainTimesteps / span.steps, config.trainTimesteps - 1)
                : Int(timesteps[0])
            let mean = 0.5 * (Update.output + .remembered(0))
            run.steps.append(
                Scheduler.Step(
                    level: level(timesteps[1]),
                    transitions: [
                        Transition(
                            step(from: first, to: end, .remembered(1), mean),
                            remembering: [.remembered(0)]
                        )
                    ],
                    isIntermediate: true
                )
            )
        }
        return run
    }
}

import Foundation

/// DPM-Solver++ for the stochastic equation, single-step, of second order (k-diffusion's "DPM++ SDE"). Two evaluations
/// per step, except for the last one.
///
/// Both halves of a step add noise from the same Brownian motion over σ: the noise up to the midpoint is part of
/// the noise of the whole step.
enum DPMSolverSDE: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let levels = ExplodingLevels(config, schedule, span)
        return levels.run(config, end: 0) { step in
            guard step.next > 0 else {
                return [.init(step.now, [Transition(Euler.step(from: step.now, to: 0))])]
            }
            let middle = (step.now * step.next).squareRoot()
            // x′ = σ↓/σ · x + (1 − σ↓/σ) · x₀ + σ↑ · noise
            func update(to next: Double, from x: Update, noise: Update) -> Update {
                let (down, up) = Ancestral.split(step.now, next)
                return down / step.now * x + (1 - down / step.now) * .x0 + up * noise
            }
            let share = ((step.now - middle) / (step.now - step.next)).squareRoot()
            let whole = share * .remembered(1) + (1 - share * share).squareRoot() * .z
            return [
                .init(
                    step.now,
                    [Transition(update(to: middle, from: .x, noise: .z), remembering: [.x, .z])]
                ),
                .init(
                    middle,
                    [Transition(update(to: step.next, from: .remembered(0), noise: whole))],
                    timestep: levels.timestep(of: middle)
                ),
            ]
        }
    }
}

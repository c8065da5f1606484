import Foundation

/// UniPC: each step first corrects the previous one with the network's output at its end (Zhao et
/// al., 2023, algorithms 1 and 2).
enum UniPC: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let solver = config.solver
        let (timesteps, sigmas) = config.multistepLevels(
            schedule,
            span,
            end: config.finalLevel(schedule)
        )
        let levels = sigmas.map { PreservingLevel(ratio: Double($0)) }
        let count = span.steps
        func order(_ i: Int, remembering age: Int) -> Int {
            let most = solver.lowersOrderAtEnd ? min(solver.order, count - i) : solver.order
            return min(most, age + 1)
        }
        let steps = (0..<count).map { i in
            let level = levels[i].noiseLevel(config.prediction)
            let current: Update = solver.predictsX0 ? .x0 : level.epsilon
            // The memory holds the corrected latent of the previous step and then the network's
            // estimates, the latest first.
            let transitions = (0...min(i, solver.order)).map { age in
                let before = (0..<age).map { Update.remembered($0 + 1) }
                var corrected = Update.x
                if age > 0 {
                    let order = order(i - 1, remembering: age - 1)
                    corrected = correction(
                        solver,
                        levels,
                        from: i - 1,
                        .remembered(0),
                        Array(before.prefix(order)),
                        current
                    )
                }
                let found = [current] + before
                let next = prediction(
                    solver,
                    levels,
                    from: i,
                    corrected,
                    Array(found.prefix(order(i, remembering: age)))
                )
                return Transition(
                    next,
                    remembering: [corrected] + found.prefix(solver.order)
                )
            }
            return Scheduler.Step(level: level, transitions: transitions)
        }
        return Scheduler.Run(timesteps: timesteps, sigmas: sigmas, steps: steps)
    }

    /// UniP: predicts the step from level `i` to the next one.
    private static func prediction(
        _ solver: SolverOptions,
        _ levels: [PreservingLevel],
        from i: Int,
        _ x: Update,
        _ m: [Update]
    ) -> Update {
        let part = Part(solver, levels, from: i, order: m.count)
        guard m.count > 1 else { return part.first(x, m[0]) }
        let weights =
            m.count == 2
            ? [0.5] : LinearSystem.solve(part.rows(m.count - 1, of: m.count - 1), part.b)
        let sum = (1..<m.count).reduce(Update()) {
            $0 + (weights[$1 - 1] / part.ratios[$1 - 1]) * (m[$1] - m[0])
        }
        return part.first(x, m[0]) - part.scale * sum
    }

    /// UniC: repeats that step with the estimate at its end.
    private static func correction(
        _ solver: SolverOptions,
        _ levels: [PreservingLevel],
        from i: Int,
        _ x: Update,
        _ m: [Update],
        _ end: Update
    ) -> Update {
        let part = Part(solver, levels, from: i, order: m.count)
        let weights =
            m.count == 1 ? [0.5] : LinearSystem.solve(part.rows(m.count, of: m.count), part.b)
        let sum = (1..<m.count).reduce(weights[m.count - 1] * (end - m[0])) {
            $0 + (weights[$1 - 1] / part.ratios[$1 - 1]) * (m[$1] - m[0])
        }
        return part.first(x, m[0]) - part.scale * sum
    }

    /// The terms that predictor and corrector share.
    private struct Part {
        /// Positions of the earlier estimates in λ, relative to the step, and 1 for its end.
        let ratios: [Double]
        let b: [Double]
        /// Factor of the sum of differences.
        let scale: Double
        private let keep: Double
        private let gain: Double

        init(_ solver: SolverOptions, _ levels: [PreservingLevel], from i: Int, order: Int) {
            let (now, next) = (levels[i], levels[i + 1])
            let h = next.lambda - now.lambda
            let step = solver.predictsX0 ? -h : h
            ratios = (1..<order).map { (levels[i - $0].lambda - now.lambda) / h } + [1]
            let size = solver.usesBH1 ? step : expm1(step)
            var (term, factorial) = (expm1(step) / step - 1, 1.0)
            b = (1...order).map { k in
                defer {
                    factorial *= Double(k + 1)
                    term = term / step - 1 / factorial
                }
                return term * factorial / size
            }
            let end = solver.predictsX0 ? next.alpha : next.sigma
            scale = end * size
            keep = solver.predictsX0 ? next.sigma / now.sigma : next.alpha / now.alpha
            gain = -end * expm1(step)
        }

        func first(_ x: Update, _ m: Update) -> Update { keep * x + gain * m }

        /// Powers of the ratios, one row per exponent, starting at 0.
        func rows(_ count: Int, of columns: Int) -> [[Double]] {
            (0..<count).map { power in ratios.prefix(columns).map { pow($0, Double(power)) } }
        }
    }
}

/// Small systems of linear equations.
enum LinearSystem {
    /// Solves `rows` · x = `values` by elimination; surplus values are ignored.
    static func solve(_ rows: [[Double]], _ values: [Double]) -> [Double] {
        let n = rows.count
        var a = (0..<n).map { rows[$0] + [values[$0]] }
        for column in 0..<n {
            let pivot = (column..<n).max { abs(a[$0][column]) < abs(a[$1][column]) } ?? column
            a.swapAt(column, pivot)
            for row in 0..<n where row != column {
                let factor = a[row][column] / a[column][column]
                for k in column...n { a[row][k] -= factor * a[column][k] }
            }
        }
        return (0..<n).map { a[$0][n] / a[$0][$0] }
    }
}

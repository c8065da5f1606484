import Foundation

/// DEIS over log ρ, multistep (Zhang and Chen, 2023): the noise is interpolated as a polynomial of log ρ, ρ = σ/α, and
/// integrated over ρ.
enum DEIS: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let (order, count) = (config.solver.order, span.steps)
        let (timesteps, sigmas) = config.multistepLevels(
            schedule,
            span,
            end: Double(schedule.sigmas[0])
        )
        let isShort = config.solver.lowersOrderAtEnd && count < 15
        let steps = (0..<count).map { i in
            let (now, next) = (
                PreservingLevel(ratio: Double(sigmas[i])),
                PreservingLevel(ratio: Double(sigmas[i + 1]))
            )
            let level = now.noiseLevel(config.prediction)
            let most = min(order, i + 1, isShort ? count - i : order)
            let kept = [level.epsilon] + (0..<max(0, order - 1)).map { Update.remembered($0) }
            return Scheduler.Step(
                level: level,
                transitions: (1...most).map { order in
                    let nodes = (0..<order).map { log(Double(sigmas[i - $0])) }
                    let weights = LogPolynomial.weights(
                        nodes: nodes,
                        from: Double(sigmas[i]),
                        to: Double(sigmas[i + 1])
                    )
                    // x′ = α′ (x/α + Σ C_j ε_j)
                    let sum = Swift.zip(weights, kept).reduce((1 / now.alpha) * Update.x) {
                        $0 + $1.0 * $1.1
                    }
                    return Transition(
                        next.alpha * sum,
                        remembering: Array(kept.prefix(min(order, config.solver.order - 1)))
                    )
                }
            )
        }
        return Scheduler.Run(timesteps: timesteps, sigmas: sigmas, steps: steps)
    }
}

/// Integrals over ρ of Lagrange polynomials in log ρ.
enum LogPolynomial {
    /// - Parameters:
    ///   - nodes: log ρ of one to three points
    ///   - from: lower limit of the integral, as ρ
    ///   - to: upper limit, as ρ
    /// - Returns: the weight of each point's value
    static func weights(nodes: [Double], from: Double, to: Double) -> [Double] {
        // ∫ (log ρ)ᵏ dρ, by parts.
        func moment(_ power: Int, _ rho: Double) -> Double {
            power == 0
                ? rho : rho * pow(log(rho), Double(power)) - Double(power) * moment(power - 1, rho)
        }
        return nodes.indices.map { j in
            // Coefficients of Π (u − u_k)/(u_j − u_k), from the constant term up.
            var polynomial = [1.0]
            for k in nodes.indices where k != j {
                let scale = 1 / (nodes[j] - nodes[k])
                var product = [Double](repeating: 0, count: polynomial.count + 1)
                for (power, value) in polynomial.enumerated() {
                    product[power + 1] += value * scale
                    product[power] -= value * scale * nodes[k]
                }
                polynomial = product
            }
            return polynomial.enumerated().reduce(0) { sum, term in
                sum + term.element * (moment(term.offset, to) - moment(term.offset, from))
            }
        }
    }
}

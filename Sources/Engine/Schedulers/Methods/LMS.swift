/// Linear multistep: interpolates the last four slopes as a polynomial of σ and integrates it over
/// the step (k-diffusion's "LMS").
enum LMS: SamplingMethod {
    private static let order = 4

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let levels = ExplodingLevels(config, schedule, span)
        let sigmas = (levels.levels + [0]).map { Double(Float($0)) }
        return levels.run(config, end: 0) { step in
            let i = step.index
            let slopes =
                [(1 / step.now) * (Update.x - .x0)]
                + (0..<order - 1).map { Update.remembered($0) }
            let transitions = (1...min(order, i + 1)).map { order in
                let weights = Polynomial.weights(
                    nodes: (0..<order).map { sigmas[i - $0] },
                    from: step.now,
                    to: step.next
                )
                return Transition(
                    Swift.zip(weights, slopes).reduce(.x) { $0 + $1.0 * $1.1 },
                    remembering: Array(slopes.prefix(min(order, Self.order - 1)))
                )
            }
            return [.init(step.now, transitions)]
        }
    }
}

/// Integrals of Lagrange polynomials.
enum Polynomial {
    /// - Parameters:
    ///   - nodes: interpolation points
    ///   - from: lower limit of the integral
    ///   - to: upper limit
    /// - Returns: the weight of each point's value
    static func weights(nodes: [Double], from: Double, to: Double) -> [Double] {
        // Three-point Gauss quadrature, which is exact up to degree five.
        let (middle, half) = ((from + to) / 2, (to - from) / 2)
        let offset = (3.0 / 5).squareRoot()
        return nodes.indices.map { j in
            [(-offset, 5.0 / 9), (0, 8.0 / 9), (offset, 5.0 / 9)].reduce(0) { sum, point in
                let at = middle + half * point.0
                let value = nodes.indices.reduce(1.0) { product, k in
                    k == j ? product : product * (at - nodes[k]) / (nodes[j] - nodes[k])
                }
                return sum + half * point.1 * value
            }
        }
    }
}

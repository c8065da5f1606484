import Engine

/// Compares two answers to the same unit.
package enum AnswerDistance {
    /// Whether both answers have the same bytes.
    package static func areSame(_ a: WorkResult, _ b: WorkResult) -> Bool {
        guard a.statistics.count == b.statistics.count, a.tensor?.shape == b.tensor?.shape else {
            return false
        }
        let areSame = zip(a.statistics, b.statistics).allSatisfy {
            $0.mean.bitPattern == $1.mean.bitPattern
                && $0.variance.bitPattern == $1.variance.bitPattern
        }
        guard areSame, let x = a.tensor, let y = b.tensor else { return areSame }
        return x.withFloats { x in
            y.withFloats { y in
                x.indices.allSatisfy { x[$0].bitPattern == y[$0].bitPattern }
            }
        }
    }

    /// Distance between two answers, in standard deviations of the second: the root mean square of the difference, or a
    /// sixteenth of its maximum if that is larger, so that a few wrong elements count too. Infinite if they cannot be
    /// compared.
    package static func between(_ a: WorkResult, _ b: WorkResult) -> Double {
        guard a.statistics.count == b.statistics.count, a.tensor?.shape == b.tensor?.shape else {
            return .infinity
        }
        var distance = 0.0
        for (x, y) in zip(a.statistics, b.statistics) {
            // All values of a group may be the same: then only rounding differs.
            let deviation = max(y.variance.squareRoot(), 1e-4 * abs(y.mean), .leastNormalMagnitude)
            distance = max(
                distance,
                abs(x.mean - y.mean) / deviation,
                abs(x.variance - y.variance) / (2 * deviation * deviation)
            )
        }
        if let x = a.tensor, let y = b.tensor { distance = max(distance, between(x, y)) }
        return distance.isNaN ? .infinity : distance
    }

    private static func between(_ a: Tensor, _ b: Tensor) -> Double {
        let deviation = Double(max(b.meanAndDeviation().deviation, .leastNormalMagnitude))
        return a.withFloats { x in
            b.withFloats { y in
                var (sum, worst) = (0.0, 0.0)
                for i in x.indices {
                    let difference = abs(Double(x[i]) - Double(y[i]))
                    sum += difference * difference
                    worst = max(worst, difference)
                }
                let mean = (sum / Double(max(1, x.count))).squareRoot()
                return max(mean, worst / 16) / deviation
            }
        }
    }
}

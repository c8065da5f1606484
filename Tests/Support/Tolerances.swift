import Engine
import Testing

/// The tolerances of all tests, in one place.
package enum Tolerance {
    /// Networks against the reference: largest absolute error over the standard deviation of the expected values.
    package static let parity: Float = 2e-4
    /// bfloat16 against float32: root mean square error over the standard deviation.
    package static let bfloat16: Float = 2e-2
    /// A kernel against its naive version in double precision: error as for `parity`.
    package static let kernel: Float = 1e-5
    /// A normalisation, whose input is itself rounded relative to its mean: error as for `parity`.
    package static let norm: Float = 2e-5
    /// Fractional timesteps (Karras): units in the last place. They go through NumPy's vectorised float32 logarithm,
    /// which differs from a correctly rounded one for one in five values.
    package static let fractionalTimestep: Float = 4
    /// Fewer than 16 of PyTorch's normal numbers on the CPU, and those of CUDA: absolute error. The random words behind
    /// them are exact; logarithm and sine are the C library's. From 16 on they are exact.
    package static let normal: Float = 1e-6
    /// An elementary function at x: absolute error.
    package static func elementary(_ x: Float) -> Double { 2e-7 * max(1, Double(abs(x))) }
    /// PyTorch's GELU at x: absolute error. Its own error function for AVX-512 is a formula accurate to 1.5e-7
    /// (Abramowitz and Stegun 7.1.26), evaluated in float32: an error of 2.7e-7 was found (PyTorch 2.15.0), and less
    /// than 2e-7 on AVX2.
    package static func torchGELU(_ x: Float) -> Double { 3e-7 * max(1, Double(abs(x))) }
}

/// Largest absolute difference over the standard deviation of the expected values; infinite if a difference is NaN or
/// infinite.
package func relativeError(_ found: Tensor, _ expected: Tensor) -> Float {
    guard found.shape == expected.shape else { return .infinity }
    let deviation = max(expected.meanAndDeviation().deviation, .leastNormalMagnitude)
    var worst: Float = 0
    found.withFloats { a in
        expected.withFloats { b in
            for i in a.indices {
                let error = abs(a[i] - b[i])
                worst = error.isFinite ? max(worst, error) : .infinity
            }
        }
    }
    return worst / deviation
}

/// Root mean square difference over the standard deviation of the expected values.
package func rootMeanSquareError(_ found: Tensor, _ expected: Tensor) -> Float {
    guard found.shape == expected.shape else { return .infinity }
    let squares = zip(found.values, expected.values).reduce(0.0) {
        $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1)
    }
    let deviation = max(expected.meanAndDeviation().deviation, .leastNormalMagnitude)
    return Float((squares / Double(max(1, found.count))).squareRoot()) / deviation
}

/// Expects two tensors of the same shape to agree within `tolerance`.
package func expectClose(
    _ found: Tensor,
    _ expected: Tensor,
    within tolerance: Float,
    _ name: String,
    at location: SourceLocation = #_sourceLocation
) {
    let error = relativeError(found, expected)
    #expect(
        error <= tolerance,
        "\(name): \(found.shape) for \(expected.shape), error \(error)",
        sourceLocation: location
    )
}

extension Tensor {
    /// Whether no element is NaN or infinite.
    package var isFinite: Bool { largestMagnitude != nil }

    /// The largest magnitude of an element; nil where one is NaN or infinite.
    package var largestMagnitude: Float? {
        withFloats { x in
            // A sum of x − x is zero exactly when all are finite; no branch, so it vectorises.
            var bad = SIMD8<Float>(repeating: 0)
            var peak = SIMD8<Float>(repeating: 0)
            var i = 0
            while i + 8 <= x.count {
                let v = SIMD8<Float>(
                    x[i],
                    x[i + 1],
                    x[i + 2],
                    x[i + 3],
                    x[i + 4],
                    x[i + 5],
                    x[i + 6],
                    x[i + 7]
                )
                bad += v - v
                peak = pointwiseMax(peak, pointwiseMax(v, -v))
                i += 8
            }
            var largest = peak.max()
            while i < x.count {
                bad[0] += x[i] - x[i]
                largest = max(largest, abs(x[i]))
                i += 1
            }
            return bad.sum() == 0 ? largest : nil
        }
    }
}

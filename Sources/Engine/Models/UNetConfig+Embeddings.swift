import Foundation

/// Embeddings of the timestep, of sizes, and of the guidance scale.
extension UNetConfig {
    /// Sinusoidal embedding: sine and cosine of `values` at geometric frequencies, `[values, width]`.
    func sinusoids(of values: [Float], width: Int) -> Tensor {
        let half = width / 2
        return Tensor(shape: [values.count, width]) { out in
            for i in 0..<half {
                let exponent = -Float(log(10000.0)) * Float(i) / (Float(half) - frequencyShift)
                let frequency = exp(exponent)
                for (row, value) in values.enumerated() {
                    let angle = value * frequency
                    let (first, second) =
                        flipSinToCos ? (cos(angle), sin(angle)) : (sin(angle), cos(angle))
                    out[row * width + i] = first
                    out[row * width + half + i] = second
                }
            }
        }
    }

    /// The embedding of guidance scales w + 1, `[scales, guidanceWidth]`: sines, then cosines, of
    /// 1000 · w (Meng et al., 2023).
    func guidanceEmbedding(of scales: [Float], width: Int) -> Tensor {
        let half = width / 2
        return Tensor(shape: [scales.count, width]) { out in
            out.update(repeating: 0)
            for i in 0..<half {
                let frequency = exp(-Float(log(10000.0)) / Float(half - 1) * Float(i))
                for (row, scale) in scales.enumerated() {
                    let angle = (scale - 1) * 1000 * frequency
                    out[row * width + i] = sin(angle)
                    out[row * width + half + i] = cos(angle)
                }
            }
        }
    }
}

import Engine
import Foundation

/// Interpolation that preserves the norm.
package enum Sphere {
    /// Spherical linear interpolation (Shoemake, 1985) between two tensors treated as vectors, θ apart:
    ///
    ///     sin((1−share)·θ)/sin θ · a + sin(share·θ)/sin θ · b
    ///
    /// - Parameters:
    ///   - a: any tensor
    ///   - b: a tensor of the same shape
    ///   - share: weight of `b`, 0…1
    /// - Returns: a tensor of the same shape
    package static func mix(_ a: Tensor, _ b: Tensor, share: Double) -> Tensor {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        var (dot, ofA, ofB) = (0.0, 0.0, 0.0)
        a.withFloats { a in
            b.withFloats { b in
                for i in a.indices {
                    let (x, y) = (Double(a[i]), Double(b[i]))
                    dot += x * y
                    ofA += x * x
                    ofB += y * y
                }
            }
        }
        let lengths = (ofA * ofB).squareRoot()
        // Keeps away from ±1, where sin θ is 0.
        let cosine = lengths > 0 ? min(max(dot / lengths, -1 + 1e-7), 1 - 1e-7) : 0
        let angle = acos(cosine)
        let (p, q) = (
            Float(sin((1 - share) * angle) / sin(angle)), Float(sin(share * angle) / sin(angle))
        )
        return a.zip(b) { p * $0 + q * $1 }
    }
}

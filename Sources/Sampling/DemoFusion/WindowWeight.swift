import Foundation

/// The weight of each pixel of a window where windows overlap; `--window-weight`.
package enum WindowWeight: String, CaseIterable, Sendable {
    /// Uniform, as in the paper.
    case uniform
    /// Lower towards the window's edge, so that no prediction ends abruptly ("Mixture of Diffusers",
    /// Barbero Jiménez 2023, arXiv 2302.02412, which uses narrower ones).
    case gaussian

    /// Weights along one side of a window; those of a pixel are the product of its row's and its
    /// column's.
    ///
    /// A Gaussian's standard deviation is a sixth of the side: the edge has a hundredth of the middle's
    /// weight, and windows half a side apart blend over a quarter of a side.
    func profile(_ length: Int) -> [Float] {
        switch self {
        case .uniform: return Array(repeating: 1, count: length)
        case .gaussian:
            let (middle, sigma) = (Double(length - 1) / 2, Double(length) / 6)
            return (0..<length).map { i in
                let r = (Double(i) - middle) / sigma
                return Float(exp(-r * r / 2))
            }
        }
    }
}

import Foundation

/// The weights of a window's pixels where windows overlap; `--window-weight`.
package enum WindowWeight: String, CaseIterable, Sendable {
    /// Uniform, as in the paper.
    case uniform
    /// Decreasing towards the window's edge, so that no prediction ends abruptly ("Mixture of Diffusers", Barbero
    /// Jiménez 2023, arXiv 2302.02412, which uses narrower Gaussians).
    case gaussian

    /// Weights along one side of a window; a pixel's weight is the product of its row's and its column's.
    ///
    /// The standard deviation of a Gaussian is a sixth of the side: the edge has a hundredth of the centre's weight,
    /// and windows half a side apart blend over a quarter of a side.
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

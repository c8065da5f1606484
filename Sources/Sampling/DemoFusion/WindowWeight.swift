import Foundation

/// How much each pixel of a window counts where windows overlap; `--window-weight`.
package enum WindowWeight: String, CaseIterable, Sendable {
    /// All alike, as in the paper.
    case uniform
    /// Less towards the window's edge, so that no prediction ends abruptly ("Mixture of Diffusers",
    /// Barbero Jiménez 2023, arXiv 2302.02412, which takes narrower ones).
    case gaussian

    /// Weights along one side of a window; those of a pixel are the product of its row's and its
    /// column's.
    ///
    /// A Gaussian's standard deviation is a sixth of the side: the edge counts a hundredth of the
    /// middle, and between windows half a side apart the hand-over takes a quarter of a side.
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

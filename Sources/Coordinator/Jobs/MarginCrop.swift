import Engine
import Sampling

/// Cuts the margin off a picture whose rows come from the top.
struct MarginCrop {
    private let margin: Int
    private let size: Extent
    /// Rows taken so far, those of the margin among them.
    private var taken = 0

    /// - Parameters:
    ///   - margin: pixels of each side
    ///   - size: of the picture without it
    init(margin: Int, size: Extent) { (self.margin, self.size) = (margin, size) }

    /// - Parameter rows: the next ones, `[1, height, width + 2 · margin, 3]`
    /// - Returns: those of them that are of the picture, without the margin; nil for none
    mutating func crop(_ rows: Tensor) -> Tensor? {
        let range = taken..<taken + rows.shape[1]
        taken = range.upperBound
        guard margin > 0 else { return rows }
        let kept = range.clamped(to: margin..<margin + size.height)
        guard !kept.isEmpty else { return nil }
        return rows.cropped(
            top: kept.lowerBound - range.lowerBound,
            left: margin,
            height: kept.count,
            width: size.width
        )
    }
}

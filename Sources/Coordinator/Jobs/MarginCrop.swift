import Engine
import Sampling

/// Cuts the margin off a picture whose rows arrive from the top.
struct MarginCrop {
    private let margin: Int
    private let size: Extent
    /// Rows received so far, including those of the margin.
    private var taken = 0

    /// - Parameters:
    ///   - margin: width of the margin on each side, in pixels
    ///   - size: size of the picture without its margin
    init(margin: Int, size: Extent) { (self.margin, self.size) = (margin, size) }

    /// - Parameter rows: the next rows, `[1, height, width + 2 · margin, 3]`
    /// - Returns: the part of them inside the margin; nil if there is none
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

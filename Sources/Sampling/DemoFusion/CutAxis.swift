/// One side of a latent, divided into non-overlapping pieces, with the first cut at any position in a range.
///
/// Every piece is predicted by a full-size window. Pieces at the ends are shorter, and their windows are shifted back
/// into the latent, so that no window is small or reads beyond the edge.
struct CutAxis: Equatable, Sendable {
    /// One piece and the window that predicts it.
    struct Piece: Equatable, Sendable {
        /// Start of the window.
        let origin: Int
        /// The part of the window's prediction that is used.
        let kept: Range<Int>
    }

    let side: Int
    /// Length of a window.
    let window: Int
    /// Possible positions of the first cut; nil if one window spans the side.
    let cuts: ClosedRange<Int>?
    /// Number of pieces, the same for every cut.
    let count: Int

    /// - Parameters:
    ///   - side: length of the side, in latent pixels
    ///   - window: native length of a window
    init(side: Int, window: Int) {
        self.side = side
        self.window = min(side, window)
        guard side > window else {
            (cuts, count) = (nil, 1)
            return
        }
        // As few pieces as possible while the cut can still move by about half a window: a cut that cannot move is
        // visible.
        let rest = side % window
        let cuts =
            2 * rest <= window ? max(1, rest)...max(1, window - 1) : 1...(rest - 1)
        self.cuts = cuts
        count = 1 + (side - cuts.lowerBound + window - 1) / window
    }

    /// - Parameter cut: one of `cuts`; ignored if `cuts` is nil
    /// - Returns: `count` pieces that cover the side
    func pieces(cut: Int) -> [Piece] {
        guard cuts != nil else { return [Piece(origin: 0, kept: 0..<side)] }
        let starts = [0] + Array(stride(from: cut, to: side, by: window))
        return starts.enumerated().map { i, start in
            let end = i + 1 < starts.count ? starts[i + 1] : side
            return Piece(origin: min(start, side - window), kept: start..<end)
        }
    }
}

import Engine

/// Padding mode at the latent's edge.
package enum Border: String, CaseIterable, Sendable {
    /// Windows stay within the latent, which limits their jitter at the edges.
    case inside
    /// Windows may extend into a margin of zero padding, as in the authors' code.
    case zeros
}

/// The layout of local windows; `--stride`.
package enum WindowStride: Hashable, Sendable {
    /// Overlapping windows, this many latent pixels apart, each jittered independently.
    case every(Int)
    /// Windows side by side: every pixel is predicted once, and all cuts between windows are shifted together
    /// ("SpotDiffusion", Frolov et al. 2024, arXiv 2407.15507, but without wrapping around the edges). The last steps
    /// of a phase use overlapping windows.
    case window
}

/// A rectangle of the latent, which may reach into the margin under `Border.zeros`.
package struct Window: Equatable, Sendable {
    package var top: Int
    package var left: Int
    package var height: Int
    package var width: Int
    /// Rows and columns of the latent for which the window's prediction is used; nil for all that it covers.
    package var kept: Kept?

    package struct Kept: Equatable, Sendable {
        package let rows: Range<Int>
        package let columns: Range<Int>
    }

    package init(top: Int, left: Int, height: Int, width: Int, kept: Kept? = nil) {
        (self.top, self.left, self.height, self.width) = (top, left, height, width)
        self.kept = kept
    }

    /// The rectangle that the window covers.
    package var region: Region {
        Region(rows: top..<top + height, columns: left..<left + width)
    }

    /// The part of a latent for which its prediction is used.
    package func kept(in latent: Extent) -> Kept {
        kept
            ?? Kept(
                rows: max(0, top)..<min(latent.height, top + height),
                columns: max(0, left)..<min(latent.width, left + width)
            )
    }
}

/// The randomly shifted local windows of one phase (DemoFusion §3.1).
package struct WindowGrid: Equatable, Sendable {
    /// Size of the whole latent.
    package let latent: Extent
    /// Size of one window: the model's native size, or the latent's side if that is shorter.
    package let window: Extent
    package let border: Border
    /// Largest shift of a window along one axis, (window − stride)/4; 0 for windows side by side.
    package let reach: Int
    /// Offset of the crop ids: a virtual margin above and to the left of the latent, which lets the model distinguish
    /// the window in the corner from the whole picture. It is as wide as `reach`, and for windows side by side as wide
    /// as with the default stride.
    package let margin: Int
    private let layout: Layout

    private enum Layout: Equatable, Sendable {
        /// Positions of unshifted windows.
        case overlapping(tops: [Int], lefts: [Int])
        case cut(rows: CutAxis, columns: CutAxis)
    }

    package init(latent: Extent, window side: Int, stride: WindowStride, border: Border) {
        self.latent = latent
        self.border = border
        window = Extent(height: min(side, latent.height), width: min(side, latent.width))
        switch stride {
        case .every(let stride):
            precondition(side > 0 && (1...side).contains(stride), "window \(side), \(stride)")
            reach = (side - stride) / 4
            margin = reach
            layout = .overlapping(
                tops: Self.origins(side: latent.height, window: window.height, stride),
                lefts: Self.origins(side: latent.width, window: window.width, stride)
            )
        case .window:
            reach = 0
            margin = (side - side / 2) / 4
            layout = .cut(
                rows: CutAxis(side: latent.height, window: side),
                columns: CutAxis(side: latent.width, window: side)
            )
        }
    }

    package var count: Int {
        switch layout {
        case .overlapping(let tops, let lefts): tops.count * lefts.count
        case .cut(let rows, let columns): rows.count * columns.count
        }
    }

    /// Number of integers that `windows(jitter:)` draws.
    package var drawCount: Int {
        switch layout {
        case .overlapping(let tops, let lefts):
            let rows = tops.count { rowShifts($0) != nil }
            let columns = lefts.count { columnShifts($0) != nil }
            return rows * lefts.count + columns * tops.count
        case .cut(let rows, let columns):
            return (rows.cuts == nil ? 0 : 1) + (columns.cuts == nil ? 0 : 1)
        }
    }

    /// A multiple of the size of every range that `windows(jitter:)` draws from, so that remainders of a uniform number
    /// below it are uniform.
    package var drawSpan: Int {
        switch layout {
        case .overlapping: (2 * reach + 1) * (reach + 1)
        case .cut(let rows, let columns): (rows.cuts?.count ?? 1) * (columns.cuts?.count ?? 1)
        }
    }

    /// All windows, shifted.
    ///
    /// - Parameter jitter: draws an integer from the range; called for each window in turn, for x and then for y, and
    ///   only for sides that can move; or once for x and once for y if all windows move together
    /// - Returns: `count` windows, row by row
    /// - Throws: what `jitter` throws
    package func windows(
        jitter: (ClosedRange<Int>) throws(InputError) -> Int
    ) throws(InputError) -> [Window] {
        var windows: [Window] = []
        windows.reserveCapacity(count)
        switch layout {
        case .overlapping(let tops, let lefts):
            for top in tops {
                for left in lefts {
                    windows.append(try shifted(top: top, left: left, jitter))
                }
            }
        case .cut(let rows, let columns):
            let column = try columns.cuts.map(jitter) ?? 0
            let row = try rows.cuts.map(jitter) ?? 0
            let across = columns.pieces(cut: column)
            for down in rows.pieces(cut: row) {
                for piece in across {
                    windows.append(
                        Window(
                            top: down.origin,
                            left: piece.origin,
                            height: window.height,
                            width: window.width,
                            kept: .init(rows: down.kept, columns: piece.kept)
                        )
                    )
                }
            }
        }
        return windows
    }

    private func shifted(
        top: Int,
        left: Int,
        _ jitter: (ClosedRange<Int>) throws(InputError) -> Int
    ) throws(InputError) -> Window {
        var shifted = Window(top: top, left: left, height: window.height, width: window.width)
        if let columns = columnShifts(left) { shifted.left += try jitter(columns) }
        if let rows = rowShifts(top) { shifted.top += try jitter(rows) }
        if border == .inside {
            shifted.top = min(max(shifted.top, 0), latent.height - window.height)
            shifted.left = min(max(shifted.left, 0), latent.width - window.width)
        }
        return shifted
    }

    private func columnShifts(_ left: Int) -> ClosedRange<Int>? {
        shifts(from: left, to: left + window.width, side: latent.width)
    }

    private func rowShifts(_ top: Int) -> ClosedRange<Int>? {
        shifts(from: top, to: top + window.height, side: latent.height)
    }

    /// A window at an edge moves only outwards; one that spans the side does not move.
    private func shifts(from low: Int, to high: Int, side: Int) -> ClosedRange<Int>? {
        switch (low == 0, high == side) {
        case (true, true): nil
        case (true, false): -reach...0
        case (false, true): 0...reach
        case (false, false): -reach...reach
        }
    }

    /// Multiples of the stride, with the last window shifted back to end at the edge.
    private static func origins(side: Int, window: Int, _ stride: Int) -> [Int] {
        guard side > window else { return [0] }
        let count = (side - window - 1) / stride + 2
        return (0..<count).map { min($0 * stride, side - window) }
    }
}

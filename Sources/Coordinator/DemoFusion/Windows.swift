import Engine

/// What windows meet beyond the edge of the latent.
package enum Border: String, CaseIterable, Sendable {
    /// No window reads beyond the edge; jitter stops there.
    case inside
    /// Windows may read a margin of zeros, as the authors' code does.
    case zeros
}

/// A rectangle of the latent, which may reach into the margin under `Border.zeros`.
package struct Window: Equatable, Sendable {
    package var top: Int
    package var left: Int
    package var height: Int
    package var width: Int
}

/// The overlapping, randomly shifted local windows of one phase (DemoFusion §3.1).
package struct WindowGrid: Equatable, Sendable {
    /// Size of the whole latent.
    package let latent: Extent
    /// Size of one window: the model's native size, or the latent's side where that is shorter.
    package let window: Extent
    package let stride: Int
    package let border: Border
    /// Largest shift of a window along one axis, (window − stride)/4.
    package let reach: Int
    private let unshifted: [Window]

    package init(latent: Extent, window side: Int, stride: Int, border: Border) {
        precondition(side > 0 && stride > 0 && stride <= side, "window \(side), stride \(stride)")
        self.latent = latent
        self.stride = stride
        self.border = border
        window = Extent(height: min(side, latent.height), width: min(side, latent.width))
        reach = (side - stride) / 4
        let (window, lefts) = (
            self.window, WindowGrid.origins(side: latent.width, window: self.window.width, stride)
        )
        unshifted = WindowGrid.origins(side: latent.height, window: window.height, stride).flatMap {
            top in
            lefts.map { Window(top: top, left: $0, height: window.height, width: window.width) }
        }
    }

    package var count: Int { unshifted.count }

    /// Number of integers that `windows(jitter:)` draws.
    package var drawCount: Int {
        unshifted.reduce(0) {
            $0 + (columnShifts($1) == nil ? 0 : 1) + (rowShifts($1) == nil ? 0 : 1)
        }
    }

    /// All windows, shifted.
    ///
    /// - Parameter jitter: draws an integer of the range; called for each window in turn, for x and
    ///   then for y, and only for sides that may move
    /// - Returns: `count` windows, row by row
    /// - Throws: what `jitter` throws
    package func windows(
        jitter: (ClosedRange<Int>) throws(InputError) -> Int
    ) throws(InputError) -> [Window] {
        var shifted: [Window] = []
        shifted.reserveCapacity(count)
        for var window in unshifted {
            let (columns, rows) = (columnShifts(window), rowShifts(window))
            if let columns { window.left += try jitter(columns) }
            if let rows { window.top += try jitter(rows) }
            if border == .inside {
                window.top = min(max(window.top, 0), latent.height - window.height)
                window.left = min(max(window.left, 0), latent.width - window.width)
            }
            shifted.append(window)
        }
        return shifted
    }

    private func columnShifts(_ window: Window) -> ClosedRange<Int>? {
        shifts(from: window.left, to: window.left + window.width, side: latent.width)
    }

    private func rowShifts(_ window: Window) -> ClosedRange<Int>? {
        shifts(from: window.top, to: window.top + window.height, side: latent.height)
    }

    /// A window that touches an edge moves only outwards; one that spans the side does not move.
    private func shifts(from low: Int, to high: Int, side: Int) -> ClosedRange<Int>? {
        switch (low == 0, high == side) {
        case (true, true): nil
        case (true, false): -reach...0
        case (false, true): 0...reach
        case (false, false): -reach...reach
        }
    }

    /// Multiples of the stride, the last window pulled back to end at the edge.
    private static func origins(side: Int, window: Int, _ stride: Int) -> [Int] {
        guard side > window else { return [0] }
        let count = (side - window - 1) / stride + 2
        return (0..<count).map { min($0 * stride, side - window) }
    }
}

/// The cells of 8×8 pixels in a window of a latent. Cells are aligned to the latent, so they are the same in every
/// window.
package struct CellGrid: Equatable, Sendable {
    package static let side = 8

    /// Size of the window, in latent pixels.
    package let height: Int
    package let width: Int
    /// First row and first column of the window that belong to a cell, 0 to 7.
    package let row: Int
    package let column: Int

    /// - Parameters:
    ///   - height: height of the window
    ///   - width: width of the window
    ///   - top: the window's first row in the latent; may be negative
    ///   - left: the window's first column; may be negative
    package init(height: Int, width: Int, top: Int, left: Int) {
        /// Distance from an edge to the next cell.
        func offset(_ edge: Int) -> Int { ((-edge) % Self.side + Self.side) % Self.side }
        self.init(height: height, width: width, row: offset(top), column: offset(left))
    }

    init(height: Int, width: Int, row: Int, column: Int) {
        (self.height, self.width) = (height, width)
        (self.row, self.column) = (row, column)
    }

    package var rows: Int { max(0, height - row) / Self.side }
    package var columns: Int { max(0, width - column) / Self.side }
    /// Number of whole cells.
    package var count: Int { rows * columns }

    /// A run of pixels in one row of the window.
    struct Run {
        /// Index of the first pixel, in row-major order.
        let start: Int
        let count: Int
        /// Index of the cell, in row-major order, and the row within it; nil for pixels in no cell.
        let cell: (index: Int, row: Int)?
    }

    /// Calls `body` for all pixels of the window, run by run, in order.
    func forEachRun(_ body: (Run) -> Void) {
        let (rows, columns) = (rows, columns)
        for y in 0..<height {
            let start = y * width
            let inside = y - row
            guard inside >= 0, inside < rows * Self.side, columns > 0 else {
                body(Run(start: start, count: width, cell: nil))
                continue
            }
            if column > 0 { body(Run(start: start, count: column, cell: nil)) }
            let first = inside / Self.side * columns
            for x in 0..<columns {
                body(
                    Run(
                        start: start + column + x * Self.side,
                        count: Self.side,
                        cell: (first + x, inside % Self.side)
                    )
                )
            }
            let end = column + columns * Self.side
            if end < width { body(Run(start: start + end, count: width - end, cell: nil)) }
        }
    }
}

/// Cells of 8×8 pixels in a window of a latent, at the same places of the latent in every window.
package struct CellGrid: Equatable, Sendable {
    package static let side = 8

    /// Of the window, in latent pixels.
    package let height: Int
    package let width: Int
    /// The first row and the first column of the window that belong to a cell, 0 to 7.
    package let row: Int
    package let column: Int

    /// - Parameters:
    ///   - height: of the window
    ///   - width: of the window
    ///   - top: the window's first row in the latent; may be negative
    ///   - left: its first column
    package init(height: Int, width: Int, top: Int, left: Int) {
        /// From an edge to the next cell.
        func offset(_ edge: Int) -> Int { ((-edge) % Self.side + Self.side) % Self.side }
        self.init(height: height, width: width, row: offset(top), column: offset(left))
    }

    init(height: Int, width: Int, row: Int, column: Int) {
        (self.height, self.width) = (height, width)
        (self.row, self.column) = (row, column)
    }

    package var rows: Int { max(0, height - row) / Self.side }
    package var columns: Int { max(0, width - column) / Self.side }
    /// Whole cells.
    package var count: Int { rows * columns }

    /// Pixels of one row of the window.
    struct Run {
        /// The first one, counted row by row.
        let start: Int
        let count: Int
        /// The cell, counted row by row, and the row in it; nil for pixels in no cell.
        let cell: (index: Int, row: Int)?
    }

    /// Calls `body` for all pixels of the window, in order.
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

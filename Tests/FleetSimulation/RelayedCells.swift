import Protocol
import Sampling

/// The cells of one step's latent that a relay has been sent.
struct RelayedCells {
    private var cells: Set<Cell> = []

    private struct Cell: Hashable {
        let row: Int
        let column: Int
    }

    /// Sends a window.
    ///
    /// - Returns: share of its pixels that had not been sent before, including those outside whole cells
    mutating func add(_ window: Window) -> Double {
        let side = CellGrid.side
        func whole(_ start: Int, _ count: Int) -> Range<Int> {
            let first = (start + side - 1) / side
            return first..<max(first, (start + count) / side)
        }
        let (rows, columns) = (whole(window.top, window.height), whole(window.left, window.width))
        var known = 0
        for row in rows {
            for column in columns where !cells.insert(Cell(row: row, column: column)).inserted {
                known += 1
            }
        }
        return 1 - Double(known * side * side) / Double(window.height * window.width)
    }
}

import Engine

/// A window of a latent without the cells that were sent to the same relay before. The windows of a step overlap, so
/// most of what one worker of a site needs was already sent for another.
package struct LatentDelta: Equatable, Sendable {
    package let grid: CellGrid
    /// The number of each cell, in row-major order; equal numbers mean equal pixels.
    package let cells: [UInt64]
    /// The numbers of the new cells, which are sent with it.
    package let new: Range<UInt64>

    package init(grid: CellGrid, cells: [UInt64], new: Range<UInt64>) {
        (self.grid, self.cells, self.new) = (grid, cells, new)
    }

    /// Whether the pixels of a run are sent with it.
    func sends(_ run: CellGrid.Run) -> Bool {
        run.cell.map { new.contains(cells[$0.index]) } ?? true
    }

    /// Number of pixels that are sent with it.
    var pixelCount: Int {
        var count = 0
        grid.forEachRun { if sends($0) { count += $0.count } }
        return count
    }
}

extension LatentDelta {
    /// - Throws: `FrameError` if the window and its tensor do not match
    init(_ wire: WireDelta, _ pixels: Tensor?, limits: FrameLimits) throws(FrameError) {
        let largest = UInt32(limits.tensor)
        guard wire.height > 0, wire.width > 0, wire.height <= largest, wire.width <= largest,
            Int(wire.height) * Int(wire.width) <= limits.tensor / MemoryLayout<Float>.size
        else { throw .field("task.delta: size") }
        let side = UInt32(CellGrid.side)
        guard wire.row < side, wire.column < side else { throw .field("task.delta: row, column") }
        grid = CellGrid(
            height: Int(wire.height),
            width: Int(wire.width),
            row: Int(wire.row),
            column: Int(wire.column)
        )
        guard wire.ages.count == grid.count, wire.ages.allSatisfy({ $0 > 0 && $0 <= wire.count }),
            wire.added <= wire.count, wire.count < .max
        else { throw .field("task.delta: ages") }
        cells = wire.ages.map { wire.count + 1 - UInt64($0) }
        new = wire.count + 1 - UInt64(wire.added)..<wire.count + 1
        let count = pixels.map { $0.shape[2] } ?? 0
        let channels = pixels.map { $0.shape[3] } ?? 1
        guard count == pixelCount,
            grid.height * grid.width * channels <= limits.tensor / MemoryLayout<Float>.size
        else { throw .field("task.delta: pixels") }
    }
}

extension WireDelta {
    init(_ delta: LatentDelta, _ format: WireFormat, packs: Bool) {
        self.init()
        (height, width) = (UInt32(delta.grid.height), UInt32(delta.grid.width))
        (row, column) = (UInt32(delta.grid.row), UInt32(delta.grid.column))
        count = delta.new.upperBound - 1
        added = UInt32(delta.new.count)
        ages = delta.cells.map { UInt32(delta.new.upperBound - $0) }
        elementType = format.elementType
        self.packs = packs
    }
}

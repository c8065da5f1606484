import Engine
import Foundation
import Sampling

/// Writes the tiles of a picture in one pass over its rows, keeping one row of tiles per level in memory.
///
/// Used by one thread at a time.
package final class PyramidWriter {
    private let level: Int
    private let size: Extent
    private let folder: String
    /// Writer of the next smaller level; nil for the smallest.
    private let smaller: PyramidWriter?
    /// Pixel rows of the current row of tiles, and the number of rows before them.
    private var band: [UInt8] = []
    private var written = 0
    /// A row that waits to be averaged with the next one.
    private var upper: [UInt8]?

    /// JPEG quality of the tiles; they are only for viewing, and the picture itself is available.
    private static let quality = 88

    /// Creates the folders of all levels.
    ///
    /// - Parameters:
    ///   - plan: plan of the pyramid
    ///   - folder: an existing folder
    /// - Throws: `OutputError`
    package convenience init(_ plan: PyramidPlan, folder: String) throws(OutputError) {
        try self.init(plan, level: plan.levels.count - 1, folder: folder)
    }

    private init(_ plan: PyramidPlan, level: Int, folder: String) throws(OutputError) {
        (self.level, self.folder) = (level, folder)
        size = plan.levels[level]
        do {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(level)",
                withIntermediateDirectories: false
            )
        } catch {
            throw OutputError(folder, "the folder of its tiles cannot be created")
        }
        smaller = level == 0 ? nil : try PyramidWriter(plan, level: level - 1, folder: folder)
        band.reserveCapacity(3 * size.width * min(size.height, PyramidPlan.side))
    }

    /// - Parameter row: the next row from the top, 3 · width samples
    /// - Throws: `OutputError` if the disk is full
    package func add(_ row: [UInt8]) throws(OutputError) {
        precondition(row.count == 3 * size.width, "\(row.count) samples")
        band += row
        let rows = band.count / row.count
        let isLast = written + rows == size.height
        if rows == PyramidPlan.side || isLast { try writeTiles(rows) }
        guard let smaller else { return }
        guard let above = upper ?? (isLast ? row : nil) else {
            upper = row
            return
        }
        upper = nil
        try smaller.add(Self.halved(above, row, width: size.width))
    }

    /// Averages blocks of two by two pixels; the last column of an odd width counts twice.
    package static func halved(_ upper: [UInt8], _ lower: [UInt8], width: Int) -> [UInt8] {
        let half = (width + 1) / 2
        return [UInt8](unsafeUninitializedCapacity: 3 * half) { out, count in
            for x in 0..<half {
                let (left, right) = (6 * x, 3 * min(2 * x + 1, width - 1))
                for c in 0..<3 {
                    let sum =
                        Int(upper[left + c]) + Int(upper[right + c]) + Int(lower[left + c])
                        + Int(lower[right + c])
                    out[3 * x + c] = UInt8((sum + 2) / 4)
                }
            }
            count = 3 * half
        }
    }

    private func writeTiles(_ rows: Int) throws(OutputError) {
        let side = PyramidPlan.side
        for left in stride(from: 0, to: size.width, by: side) {
            let columns = min(side, size.width - left)
            let name = PyramidPlan.name(level: level, row: written / side, column: left / side)
            let writer = try JPEGWriter(
                file: "\(folder)/\(name)",
                width: columns,
                height: rows,
                quality: Self.quality
            )
            for row in 0..<rows {
                let start = 3 * (row * size.width + left)
                try writer.write(rows: Array(band[start..<start + 3 * columns]))
            }
            try writer.finish()
        }
        written += rows
        band.removeAll(keepingCapacity: true)
    }
}

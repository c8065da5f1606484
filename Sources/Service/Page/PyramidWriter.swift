import Engine
import Foundation
import Sampling

/// Writes the tiles of a picture while its rows pass, once: it holds a row of tiles of each level.
///
/// Used by one thread at a time.
package final class PyramidWriter {
    private let level: Int
    private let size: Extent
    private let folder: String
    /// The next smaller level; nil for the smallest.
    private let smaller: PyramidWriter?
    /// Rows of the present row of tiles, and how many rows came before them.
    private var band: [UInt8] = []
    private var written = 0
    /// A row that waits for the next one, with which it is averaged.
    private var upper: [UInt8]?

    /// Of the tiles; they are for looking at, and the picture itself can be had.
    private static let quality = 88

    /// Creates the folders of all levels.
    ///
    /// - Parameters:
    ///   - plan: of the picture
    ///   - folder: that exists
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

    /// - Parameter row: the next one from the top, 3 · width samples
    /// - Throws: `OutputError` when the disk is full
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

    /// The mean of two by two pixels; the last column of an odd width counts twice.
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

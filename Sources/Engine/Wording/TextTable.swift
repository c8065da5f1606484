import Foundation

/// Formats rows of cells as lines of text; each column is as wide as its widest cell.
package enum TextTable {
    /// Formats rows as lines without trailing spaces.
    ///
    /// - Parameters:
    ///   - rows: the cells, by row
    ///   - rightAligned: indices of right-aligned columns
    ///   - separator: the text between columns
    /// - Returns: one line per row
    package static func lines(
        _ rows: [[String]],
        rightAligned: Set<Int> = [],
        separator: String = "  "
    ) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return rightAligned.contains(column) ? space + row[column] : row[column] + space
            }
            var line = Substring(cells.joined(separator: separator))
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }

    /// Right-aligned cells in columns of given widths; a wider cell takes the space it needs.
    package static func line(_ cells: [String], rightAlignedIn widths: [Int]) -> String {
        Swift.zip(cells, widths).map { cell, width in
            String(repeating: " ", count: max(1, width - cell.count)) + cell
        }.joined()
    }

    /// Maximum plausible age in seconds, about 270 years: a larger one comes from a damaged file.
    private static let longAgo = 1e5 * 86_400

    /// An age in human-readable form.
    package static func ago(_ seconds: Double) -> String {
        switch max(0, seconds) {
        case let s where s < 10: String(format: "%.1f s ago", s)
        case let s where s < 120: "\(Int(s)) s ago"
        case let s where s < 7200: "\(Int(s / 60)) min ago"
        case let s where s < 172_800: "\(Int(s / 3600)) h ago"
        case let s where s < longAgo: "\(Int(s / 86_400)) d ago"
        default: "long ago"
        }
    }
}

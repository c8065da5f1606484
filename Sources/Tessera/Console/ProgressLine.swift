/// A progress line that fits the terminal. A longer line would wrap, and every redraw would leave another line behind.
package enum ProgressLine {
    /// The bar, the percentage and as many details as fit.
    ///
    /// - Parameters:
    ///   - share: fraction of the work that is done, 0…1
    ///   - parts: the details; later ones are dropped first
    ///   - columns: width of the terminal; the last column stays free because some terminals wrap once it is written to
    /// - Returns: at most `columns` − 1 characters
    package static func fitted(share: Double, _ parts: [String], columns: Int) -> String {
        let room = max(0, columns - 1)
        let percent = "\(Int(share * 100)) %"
        var kept = parts
        func text(cells: Int) -> String {
            ((cells > 0 ? [bar(share, cells)] : []) + [([percent] + kept).joined(separator: "  ")])
                .joined(separator: " ")
        }
        // Shrink the bar first, then drop the last details.
        for cells in [24, 16, 10] where text(cells: cells).count <= room {
            return text(cells: cells)
        }
        while text(cells: 0).count > room, !kept.isEmpty { kept.removeLast() }
        let cells = min(24, room - text(cells: 0).count - 1)
        return String(text(cells: cells >= 4 ? cells : 0).prefix(room))
    }

    private static func bar(_ share: Double, _ cells: Int) -> String {
        let done = min(cells, max(0, Int(share * Double(cells))))
        return String(repeating: "█", count: done) + String(repeating: "░", count: cells - done)
    }
}

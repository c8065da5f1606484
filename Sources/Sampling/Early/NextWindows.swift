import Engine

/// The windows of the next step, and the windows of the current step that overlap them.
struct NextWindows: Sendable {
    let grid: WindowGrid
    let all: [Window]
    /// For each window: the windows of the current step whose predictions it needs, in order.
    let needed: [[Int]]
    /// For each window of the current step: the windows of the next step that need it.
    let needing: [[Int]]

    init(_ windows: [Window], of grid: WindowGrid, after present: [Window]) {
        (self.grid, all) = (grid, windows)
        let used = present.map { $0.kept(in: grid.latent) }
        // Bands of one window's height: whatever overlaps a window begins in one of its bands or in the band above.
        let height = grid.window.height
        let bands = Dictionary(grouping: used.indices) { used[$0].rows.lowerBound / height }
        let needed = windows.map { window in
            let region = window.read(in: grid.latent)
            let near = region.rows.lowerBound / height - 1...(region.rows.upperBound - 1) / height
            return near.flatMap { bands[$0] ?? [] }.filter {
                used[$0].rows.overlaps(region.rows) && used[$0].columns.overlaps(region.columns)
            }.sorted()
        }
        var needing = [[Int]](repeating: [], count: present.count)
        for (window, others) in needed.enumerated() {
            for other in others { needing[other].append(window) }
        }
        (self.needed, self.needing) = (needed, needing)
    }

    /// The part of the latent that a window reads.
    func region(_ window: Int) -> Region { all[window].read(in: grid.latent) }
}

extension Window {
    /// The part of a latent that the window reads, without the margin.
    fileprivate func read(in latent: Extent) -> Region {
        Region(
            rows: max(0, top)..<min(latent.height, top + height),
            columns: max(0, left)..<min(latent.width, left + width)
        )
    }

    /// The window in the coordinates of a part of the latent; only what lies in that part is used.
    func moved(into region: Region, of latent: Extent) -> Window {
        let used = kept(in: latent)
        let (y, x) = (region.rows.lowerBound, region.columns.lowerBound)
        let rows = used.rows.clamped(to: region.rows)
        let columns = used.columns.clamped(to: region.columns)
        return Window(
            top: top - y,
            left: left - x,
            height: height,
            width: width,
            kept: Kept(
                rows: rows.lowerBound - y..<rows.upperBound - y,
                columns: columns.lowerBound - x..<columns.upperBound - x
            )
        )
    }
}

import Engine

/// The cells of latents that a relay has received, kept at the relay.
package struct KeptCells {
    private var cells: [UInt64: [Float]] = [:]
    /// Cell numbers in order of arrival; those before `first` have been forgotten.
    private var order: [UInt64] = []
    private var first = 0
    private var bytes = 0

    private static let budget = 2 * SentCells.budget

    package init() {}

    /// Stores the cells that came with a message.
    ///
    /// - Parameters:
    ///   - delta: the window's delta
    ///   - pixels: the pixels sent with it, `[1, 1, n, channels]`
    package mutating func keep(_ delta: LatentDelta, _ pixels: Tensor?) {
        guard let pixels else { return }
        let channels = pixels.shape[3]
        var added: [UInt64: [Float]] = [:]
        pixels.withFloats { floats in
            var place = 0
            delta.grid.forEachRun { run in
                guard delta.sends(run) else { return }
                defer { place += run.count * channels }
                guard let cell = run.cell else { return }
                added[delta.cells[cell.index], default: []]
                    .append(contentsOf: floats[place..<place + run.count * channels])
            }
        }
        let size = CellGrid.side * CellGrid.side * channels
        // Equal cells of one window share a number, and are sent as often as they occur.
        for (number, content) in added { add(number, Array(content.prefix(size))) }
    }

    private mutating func add(_ number: UInt64, _ content: [Float]) {
        guard cells.updateValue(content, forKey: number) == nil else { return }
        order.append(number)
        bytes += content.count * MemoryLayout<Float>.size
        while bytes > Self.budget, first < order.count {
            let old = cells.removeValue(forKey: order[first])
            bytes -= (old?.count ?? 0) * MemoryLayout<Float>.size
            first += 1
        }
        if first > 1 << 16 {
            order.removeFirst(first)
            first = 0
        }
    }

    /// Reconstructs the whole window.
    ///
    /// - Returns: `[1, height, width, channels]`; nil if any of its cells are missing
    /// - Throws: `FrameError` if cells have a different number of channels
    package func latent(
        _ delta: LatentDelta,
        _ pixels: Tensor?
    ) throws(FrameError) -> Tensor? {
        var known: [[Float]?] = []
        for number in delta.cells {
            guard !delta.new.contains(number) else {
                known.append(nil)
                continue
            }
            guard let cell = cells[number] else { return nil }
            known.append(cell)
        }
        let side = CellGrid.side
        let found = known.compactMap(\.self).first.map { $0.count / (side * side) }
        guard let channels = pixels?.shape[3] ?? found,
            known.allSatisfy({ $0.map { $0.count == side * side * channels } ?? true })
        else { throw .field("task.delta: channels") }
        let sent = pixels ?? Tensor(zeros: [1, 1, 0, channels])
        return sent.withFloats { sent in
            var place = 0
            return Tensor(shape: [1, delta.grid.height, delta.grid.width, channels]) { latent in
                delta.grid.forEachRun { run in
                    let (start, count) = (run.start * channels, run.count * channels)
                    if let cell = run.cell, let content = known[cell.index] {
                        let row = cell.row * count
                        for i in 0..<count { latent[start + i] = content[row + i] }
                    } else {
                        for i in 0..<count { latent[start + i] = sent[place + i] }
                        place += count
                    }
                }
            }
        }
    }
}

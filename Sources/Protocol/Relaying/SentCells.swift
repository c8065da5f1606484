import CSodium
import Engine

/// The cells of latents that were sent to a relay, kept at the coordinator. Cells are identified by the bytes that are
/// sent, so their origin does not matter, and the same cell in another format counts as a different one.
package struct SentCells {
    /// A 128-bit BLAKE2b hash of a cell's bytes.
    private struct Digest: Hashable {
        let high: UInt64
        let low: UInt64
    }

    /// Size in float32 of the cells that a relay is expected to keep, in bytes. A relay keeps twice as much.
    package static let budget = 64 << 20

    private var numbers: [Digest: UInt64] = [:]
    /// The most recent cells, indexed by number modulo its count.
    private var recent: [Digest?] = []
    private var channels = 0
    /// The number of the next new cell.
    private var next: UInt64

    /// Numbers start at a random value, because a relay may still have cells of an earlier coordinator.
    package init() { next = UInt64.random(in: 1..<1 << 62) }

    /// Forgets everything, as if nothing that was sent had arrived.
    package mutating func forget() {
        numbers = [:]
        recent = recent.map { _ in nil }
    }

    /// Splits a window into cells, all of which count as sent from now on.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - place: its rows and columns in the whole latent
    ///   - format: element type on the wire
    /// - Returns: the delta, and the pixels to send, `[1, 1, n, channels]`, nil if there are none; nil if the window is
    ///   too large
    package mutating func delta(
        of latent: Tensor,
        at place: Region,
        as format: WireFormat
    ) -> (delta: LatentDelta, pixels: Tensor?)? {
        let (height, width, channels) = (latent.shape[1], latent.shape[2], latent.shape[3])
        prepare(channels)
        let grid = CellGrid(
            height: height,
            width: width,
            top: place.rows.lowerBound,
            left: place.columns.lowerBound
        )
        // The cells that the delta adds must not evict those that it refers to.
        guard 2 * grid.count <= recent.count else { return nil }
        return latent.withFloats { floats in
            let firstNew = next
            let bytes = TensorFrame.bytes(of: latent, as: format)
            let cells = digests(of: bytes, format.size, grid).map { numbers[$0] ?? add($0) }
            let delta = LatentDelta(grid: grid, cells: cells, new: firstNew..<next)
            var pixels: [Float] = []
            grid.forEachRun { run in
                guard delta.sends(run) else { return }
                let start = run.start * channels
                pixels.append(contentsOf: floats[start..<start + run.count * channels])
            }
            guard !pixels.isEmpty else { return (delta, nil) }
            let shape = [1, 1, pixels.count / channels, channels]
            return (delta, Tensor(pixels, shape: shape))
        }
    }

    private mutating func prepare(_ channels: Int) {
        guard channels != self.channels else { return }
        self.channels = channels
        numbers = [:]
        let bytes = CellGrid.side * CellGrid.side * channels * MemoryLayout<Float>.size
        recent = [Digest?](repeating: nil, count: Self.budget / bytes)
    }

    private mutating func add(_ digest: Digest) -> UInt64 {
        let number = next
        next += 1
        let slot = Int(number % UInt64(recent.count))
        if let old = recent[slot] { numbers[old] = nil }
        recent[slot] = digest
        numbers[digest] = number
        return number
    }

    /// One digest per cell.
    private func digests(of bytes: [UInt8], _ size: Int, _ grid: CellGrid) -> [Digest] {
        let pixel = channels * size
        let (row, cell) = (CellGrid.side * pixel, CellGrid.side * CellGrid.side * pixel)
        var contents = [UInt8](repeating: 0, count: grid.count * cell)
        grid.forEachRun { run in
            guard let (index, line) = run.cell else { return }
            let (from, to) = (run.start * pixel, index * cell + line * row)
            contents.replaceSubrange(to..<to + row, with: bytes[from..<from + row])
        }
        return contents.withUnsafeBytes { bytes in
            (0..<grid.count).map { index in
                Self.digest(of: .init(rebasing: bytes[index * cell..<(index + 1) * cell]))
            }
        }
    }

    private static func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
        var hash = [UInt8](repeating: 0, count: 16)
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let status = crypto_generichash(&hash, hash.count, start, UInt64(bytes.count), nil, 0)
        precondition(status == 0, "crypto_generichash: \(status)")
        return hash.withUnsafeBytes { hash in
            Digest(
                high: hash.loadUnaligned(as: UInt64.self),
                low: hash.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            )
        }
    }
}

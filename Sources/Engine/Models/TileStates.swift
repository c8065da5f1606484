/// The activations of tiles between two evaluations: each tile continues where it stopped.
///
/// A cache: a tile that is not here is computed from its input again, with the same result. Activations beyond `bytes` go to
/// unnamed files (a 4096×4096 picture is up to 17 GB in float32 where SDXL's decoder is widest). All tiles are
/// requested in turn, so those in memory stay there: replacing them would move every one of them.
///
/// Used by one thread at a time.
package final class TileStates {
    private enum Place {
        case memory(FramedTile)
        case file(ScratchFile, TileHeader)
    }

    private struct State {
        let place: Place
        /// What its norms normalised by.
        let statistics: [Moments]
        /// Number of those norms.
        let norms: Int
        /// In memory.
        let bytes: Int
    }

    /// A tile's file, which is kept while the tile is evaluated.
    private struct Room {
        let file: ScratchFile
        let bytes: Int
    }

    private let limit: Int
    private var states: [TileID: State] = [:]
    private var rooms: [TileID: Room] = [:]
    /// Pictures with tiles here, the latest last.
    private var pictures: [UInt64] = []
    private var used = 0

    /// Bytes in memory, unless overridden in a test.
    package static let bytes = 640 << 20
    /// Pictures whose tiles are kept: of several renders at a time, or left by one that was cancelled.
    private static let maxPictures = 2

    /// - Parameter bytes: maximum in memory
    init(bytes: Int) { limit = bytes }

    /// Whether nothing is kept.
    var isEmpty: Bool { states.isEmpty }

    /// Number of tiles that are kept, and how many of them in files.
    var count: (all: Int, inFiles: Int) {
        (
            states.count,
            states.values.count {
                if case .file = $0.place { return true }
                return false
            }
        )
    }

    /// Keeps a tile until it is taken.
    ///
    /// - Parameters:
    ///   - tile: as it arrives at a norm
    ///   - id: the tile's
    ///   - statistics: what the norms before normalised by
    ///   - backend: of the tile
    /// - Throws: `OutputError` when the disk is full or broken
    func keep(
        _ tile: FramedTile,
        as id: TileID,
        statistics: [Moments],
        on backend: any Backend
    ) throws(OutputError) {
        admit(id.picture, norms: tile.norms)
        let sizes = tile.activations.map { $0.shape.reduce(backend.elementBytes, *) }
        let size = sizes.reduce(0, +)
        func state(_ place: Place, inMemory bytes: Int) -> State {
            State(place: place, statistics: statistics, norms: tile.norms, bytes: bytes)
        }
        guard used + size > limit else {
            used += size
            rooms[id] = nil
            states[id] = state(.memory(tile), inMemory: size)
            return
        }
        let file = try room(for: id, bytes: size)
        var offset = 0
        for (activation, size) in zip(tile.activations, sizes) {
            try backend.withBytes(of: activation) { bytes throws(OutputError) in
                let numbers = UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[...])
                try file.write(numbers, at: offset)
            }
            offset += size
        }
        states[id] = state(.file(file, TileHeader(tile)), inMemory: 0)
    }

    /// Removes a tile to continue with it.
    ///
    /// - Parameters:
    ///   - id: the tile's
    ///   - statistics: what the norms of the picture normalise by, as far as it is known
    ///   - backend: of the tile
    /// - Returns: nil if it is not here, or was computed with other statistics
    /// - Throws: `OutputError` when the disk is broken
    func take(
        _ id: TileID,
        statistics: [Moments],
        on backend: any Backend
    ) throws(OutputError) -> FramedTile? {
        guard let state = states.removeValue(forKey: id) else { return nil }
        used -= state.bytes
        guard statistics.starts(with: state.statistics) else { return nil }
        switch state.place {
        case .memory(let tile): return tile
        case .file(let file, let header): return try header.tile(from: file, on: backend)
        }
    }

    /// Removes a finished tile.
    func forget(_ id: TileID) { remove(id) }

    /// Removes all tiles.
    func forget() { (states, rooms, pictures, used) = ([:], [:], [], 0) }

    /// Removes tiles of earlier pictures, and those of this one that were continued by another worker: no tile of
    /// a picture is two norms ahead of another one.
    private func admit(_ picture: UInt64, norms: Int) {
        pictures.removeAll { $0 == picture }
        pictures.append(picture)
        pictures = pictures.suffix(Self.maxPictures)
        for (id, state) in states {
            let isBehind = id.picture == picture && state.norms + 1 < norms
            if isBehind || !pictures.contains(id.picture) { remove(id) }
        }
    }

    private func remove(_ id: TileID) {
        used -= states.removeValue(forKey: id)?.bytes ?? 0
        rooms[id] = nil
    }

    private func room(for id: TileID, bytes: Int) throws(OutputError) -> ScratchFile {
        if let old = rooms[id], old.bytes >= bytes { return old.file }
        rooms[id] = nil
        let room = Room(file: try ScratchFile(bytes: bytes), bytes: bytes)
        rooms[id] = room
        return room.file
    }
}

/// A tile in a file without its numbers.
private struct TileHeader {
    private let shape: [Int]
    private let margins: PicturePart.Margins
    private let residual: (shape: [Int], margins: PicturePart.Margins)?
    private let layers: Int, norms: Int

    init(_ tile: FramedTile) {
        (shape, margins) = (tile.x.shape, tile.margins)
        residual = tile.residual.map { ($0.x.shape, $0.margins) }
        (layers, norms) = (tile.layers, tile.norms)
    }

    /// Reads the numbers.
    ///
    /// - Throws: `OutputError` when the disk is broken
    func tile(from file: ScratchFile, on backend: any Backend) throws(OutputError) -> FramedTile {
        var offset = 0
        func read(_ shape: [Int]) throws(OutputError) -> Activation {
            let activation = backend.blank(shape)
            try backend.withBytes(of: activation) { bytes throws(OutputError) in
                let numbers = bytes.bindMemory(to: UInt8.self)
                try file.read(numbers, at: offset)
                offset += numbers.count
            }
            return activation
        }
        let x = try read(shape)
        var other: (x: Activation, margins: PicturePart.Margins)?
        if let residual { other = (try read(residual.shape), residual.margins) }
        return FramedTile(x, margins, residual: other, layers: layers, norms: norms)
    }
}

extension FramedTile {
    /// What has to be stored of it.
    fileprivate var activations: [Activation] { [x] + (residual.map { [$0.x] } ?? []) }
}

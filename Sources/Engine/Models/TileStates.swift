/// The activations of tiles between two evaluations, so that each tile continues where it stopped.
///
/// This is a cache: a tile that is missing is computed from its input again, with the same result. Tiles stay in the
/// backend's memory as far as `TileRoom` allows. The others go to unnamed files (a 4096×4096 picture takes up to 17 GB
/// in float32 where SDXL's decoder is widest). All tiles are requested in turn, so those in memory stay there: evicting
/// them would move every single one.
///
/// Used by one thread at a time.
package final class TileStates {
    private enum Place {
        case memory(FramedTile)
        case file(ScratchFile, TileHeader)
    }

    private struct State {
        let place: Place
        /// The moments that the tile's norms normalised by.
        let statistics: [Moments]
        /// Number of norms that the tile has passed.
        let norms: Int
        /// Bytes in the backend's memory; 0 if the tile is in a file.
        let bytes: Int
    }

    /// A tile's file; kept while the tile is evaluated.
    private struct File {
        let file: ScratchFile
        let bytes: Int
    }

    private var room: TileRoom
    private var states: [TileID: State] = [:]
    private var files: [TileID: File] = [:]
    /// Pictures that have tiles here, the most recent last.
    private var pictures: [UInt64] = []
    private var used = 0

    /// Default limit of bytes in memory; tests override it, and a device with more free memory may exceed it.
    package static let bytes = 640 << 20
    /// Maximum number of pictures whose tiles are kept: several renders may run at a time, or a
    /// cancelled one may leave tiles.
    private static let maxPictures = 2

    /// - Parameter bytes: bytes that may stay in memory in any case
    init(bytes: Int) { room = TileRoom(bytes: bytes) }

    /// Whether no tiles are kept.
    var isEmpty: Bool { states.isEmpty }

    /// Number of tiles that are kept, and how many of these are in files.
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
    ///   - tile: the tile, stopped at a norm
    ///   - id: its identity
    ///   - statistics: the moments that the norms before it normalised by
    ///   - backend: the tile's backend
    /// - Throws: `OutputError` if the disk is full or broken, `DeviceError`
    func keep(
        _ tile: FramedTile,
        as id: TileID,
        statistics: [Moments],
        on backend: any Backend
    ) throws {
        admit(id.picture, norms: tile.norms)
        let size = tile.bytes(on: backend)
        let memory = room.bytes < used + size ? backend.deviceMemory : nil
        guard room.admits(size, beside: used, in: memory) else {
            states[id] = try stored(tile, as: id, statistics, on: backend)
            return
        }
        used += size
        files[id] = nil
        states[id] = State(
            place: .memory(tile),
            statistics: statistics,
            norms: tile.norms,
            bytes: size
        )
    }

    /// Moves all tiles from the backend's memory to files, because something else needs the memory.
    ///
    /// - Parameter backend: the tiles' backend
    /// - Returns: whether there were any
    /// - Throws: `DeviceError`
    func moveToFiles(on backend: any Backend) throws -> Bool {
        guard used > 0 else { return false }
        room.halve(from: used)
        do {
            for (id, state) in states {
                guard case .memory(let tile) = state.place else { continue }
                states[id] = try stored(tile, as: id, state.statistics, on: backend)
                used -= state.bytes
            }
        } catch is OutputError {
            // The tiles will be computed again. If the disk still fails, the next call of `keep` reports it.
            forget()
        }
        return true
    }

    private func stored(
        _ tile: FramedTile,
        as id: TileID,
        _ statistics: [Moments],
        on backend: any Backend
    ) throws -> State {
        let file = try file(for: id, bytes: tile.bytes(on: backend))
        var start = 0
        for activation in tile.activations {
            try backend.read(activation) { bytes, offset throws(OutputError) in
                try file.write(bytes.bindMemory(to: UInt8.self), at: start + offset)
            }
            start += activation.bytes(on: backend)
        }
        try backend.check()
        return State(
            place: .file(file, TileHeader(tile)),
            statistics: statistics,
            norms: tile.norms,
            bytes: 0
        )
    }

    /// Removes a tile to continue with it.
    ///
    /// - Parameters:
    ///   - id: the tile's identity
    ///   - statistics: the moments that the picture's norms normalise by, as far as they are known
    ///   - backend: the tile's backend
    /// - Returns: nil if the tile is not here, or was computed with other statistics
    /// - Throws: `OutputError` if the disk is broken
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
    func forget(_ id: TileID) {
        remove(id)
        if isEmpty { room.reopen() }
    }

    /// Removes all tiles.
    func forget() {
        (states, files, pictures, used) = ([:], [:], [], 0)
        room.reopen()
    }

    /// Removes tiles of earlier pictures, and tiles of this one that another worker has continued: no two tiles of a
    /// picture are ever two norms apart.
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
        files[id] = nil
    }

    private func file(for id: TileID, bytes: Int) throws(OutputError) -> ScratchFile {
        if let old = files[id], old.bytes >= bytes { return old.file }
        files[id] = nil
        let new = File(file: try ScratchFile(bytes: bytes), bytes: bytes)
        files[id] = new
        return new.file
    }
}

/// Everything about a tile in a file except its elements.
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

    /// Reads the elements of the tile.
    ///
    /// - Throws: `OutputError` if the disk is broken
    func tile(from file: ScratchFile, on backend: any Backend) throws(OutputError) -> FramedTile {
        var start = 0
        func read(_ shape: [Int]) throws(OutputError) -> Activation {
            let activation = backend.blank(shape)
            try backend.write(activation) { bytes, offset throws(OutputError) in
                try file.read(bytes.bindMemory(to: UInt8.self), at: start + offset)
            }
            start += activation.bytes(on: backend)
            return activation
        }
        let x = try read(shape)
        var other: (x: Activation, margins: PicturePart.Margins)?
        if let residual { other = (try read(residual.shape), residual.margins) }
        return FramedTile(x, margins, residual: other, layers: layers, norms: norms)
    }
}

extension FramedTile {
    /// The activations that have to be stored.
    fileprivate var activations: [Activation] { [x] + (residual.map { [$0.x] } ?? []) }

    fileprivate func bytes(on backend: any Backend) -> Int {
        activations.reduce(0) { $0 + $1.bytes(on: backend) }
    }
}

extension Activation {
    fileprivate func bytes(on backend: any Backend) -> Int {
        shape.reduce(backend.elementBytes, *)
    }
}

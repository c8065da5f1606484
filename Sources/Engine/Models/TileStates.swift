/// What tiles have become between two evaluations: where each one stopped, it continues.
///
/// Most of it would not fit in memory: a picture of 4096×4096 pixels is up to 17 GB in float32 where a
/// decoder is widest. What is beyond `bytes` goes to files without names. All tiles are asked for in turn,
/// so those that are in memory stay there: to make room for the latest would move every one of them.
///
/// Used by one thread at a time.
package final class TileStates {
    private enum Place {
        case memory(FramedTile)
        /// The tile without its numbers, and where these are.
        case file(ScratchFile, TileSketch)
    }

    private struct State {
        let place: Place
        /// What its norms have normalised by.
        let given: [Moments]
        /// How many there were of these.
        let norms: Int
        /// In memory.
        let bytes: Int
    }

    private struct Room {
        let file: ScratchFile
        let bytes: Int
    }

    private let bytes: Int
    private var states: [UInt64: State] = [:]
    /// Files of tiles that are evaluated.
    private var rooms: [UInt64: Room] = [:]
    private var used = 0

    /// Bytes in memory, unless a test wants others.
    package static let bytes = 384 << 20

    init(bytes: Int) { self.bytes = bytes }

    /// Whether nothing is kept.
    var isEmpty: Bool { states.isEmpty }

    /// Tiles that are kept, and how many of them in files.
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
    ///   - tile: as it is before a norm
    ///   - name: the tile's; 0 keeps nothing
    ///   - given: what the norms behind it have normalised by
    ///   - backend: of the tile
    /// - Throws: `OutputError` when the disk is full or broken
    func keep(
        _ tile: FramedTile,
        as name: UInt64,
        given: [Moments],
        on backend: any Backend
    ) throws(OutputError) {
        guard name != 0 else { return }
        forgetStale(given: given, norms: tile.norms)
        let size = tile.numbers * MemoryLayout<Float>.size
        guard used + size > bytes else {
            used += size
            rooms[name] = nil
            states[name] = State(
                place: .memory(tile),
                given: given,
                norms: tile.norms,
                bytes: size
            )
            return
        }
        let room: Room
        if let old = rooms[name], old.bytes >= size {
            room = old
        } else {
            rooms[name] = nil
            room = Room(file: try ScratchFile(bytes: size), bytes: size)
            rooms[name] = room
        }
        let x = backend.download(tile.x)
        try x.withFloats { floats throws(OutputError) in try room.file.write(floats, at: 0) }
        if let kept = tile.kept {
            let numbers = backend.download(kept.x)
            try numbers.withFloats { floats throws(OutputError) in
                try room.file.write(floats, at: x.count)
            }
        }
        states[name] = State(
            place: .file(room.file, TileSketch(tile)),
            given: given,
            norms: tile.norms,
            bytes: 0
        )
    }

    /// Takes a tile out, to go on with it.
    ///
    /// - Parameters:
    ///   - name: the tile's
    ///   - given: what the norms of the picture normalise by, as far as that is known
    ///   - backend: of the tile
    /// - Returns: nil where nothing of it is kept
    /// - Throws: `OutputError` when the disk is broken
    func take(
        _ name: UInt64,
        given: [Moments],
        on backend: any Backend
    ) throws(OutputError) -> FramedTile? {
        guard let state = states.removeValue(forKey: name) else { return nil }
        used -= state.bytes
        guard given.starts(with: state.given) else { return nil }
        switch state.place {
        case .memory(let tile): return tile
        case .file(let file, let sketch): return try sketch.tile(from: file, on: backend)
        }
    }

    /// Forgets all tiles.
    func forget() { (states, rooms, used) = ([:], [:], 0) }

    /// Forgets tiles of other pictures, and those that their picture has left behind because they went to
    /// another worker: of a picture, no tile is two norms ahead of another one.
    private func forgetStale(given: [Moments], norms: Int) {
        for (name, state) in states
        where !given.starts(with: state.given) || state.norms + 1 < norms {
            used -= state.bytes
            (states[name], rooms[name]) = (nil, nil)
        }
    }
}

/// A tile without its numbers.
private struct TileSketch {
    private let shape: [Int]
    private let margins: PicturePart.Margins
    private let kept: (shape: [Int], margins: PicturePart.Margins)?
    private let layers: Int, norms: Int

    init(_ tile: FramedTile) {
        (shape, margins) = (tile.x.shape, tile.margins)
        kept = tile.kept.map { ($0.x.shape, $0.margins) }
        (layers, norms) = (tile.layers, tile.norms)
    }

    /// Reads the numbers.
    ///
    /// - Throws: `OutputError` when the disk is broken
    func tile(from file: ScratchFile, on backend: any Backend) throws(OutputError) -> FramedTile {
        func read(_ shape: [Int], at place: Int) throws(OutputError) -> Activation {
            var failure: OutputError?
            let numbers = Tensor(shape: shape) { floats in
                do throws(OutputError) {
                    try file.read(floats, at: place)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            return backend.upload(numbers)
        }
        let x = try read(shape, at: 0)
        var other: (x: Activation, margins: PicturePart.Margins)?
        if let kept {
            other = (try read(kept.shape, at: shape.reduce(1, *)), kept.margins)
        }
        return FramedTile(x, margins, kept: other, layers: layers, norms: norms)
    }
}

extension FramedTile {
    /// How many numbers it consists of.
    fileprivate var numbers: Int {
        x.shape.reduce(1, *) + (kept?.x.shape.reduce(1, *) ?? 0)
    }
}

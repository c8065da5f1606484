import Engine

/// The source of tiles: a latent, or a picture to encode. Positions are in latent pixels.
package protocol TileSource {
    /// Some of its rows and columns, `[1, height, width, channels]`; of a picture multiplied by the factor.
    ///
    /// - Throws: `InputError` or `OutputError` where it is on disk and cannot be read
    func cut(_ region: Region) throws -> Tensor

    /// A smaller picture, of at most `area` latent pixels, with about the same distribution of values.
    ///
    /// - Throws: as `cut`
    func thinned(toArea area: Int) throws -> Tensor
}

/// A picture at the size at which it is encoded.
package struct PictureTiles: TileSource {
    private let latent: Extent
    private let factor: Int
    private let part: (Region) throws -> Tensor

    /// - Parameters:
    ///   - latent: of the picture
    ///   - factor: pixels per latent pixel along a side
    ///   - part: gives some rows and columns of pixels
    package init(latent: Extent, factor: Int, part: @escaping (Region) throws -> Tensor) {
        (self.latent, self.factor, self.part) = (latent, factor, part)
    }

    package func cut(_ region: Region) throws -> Tensor {
        try part(
            Region(
                rows: factor * region.rows.lowerBound..<factor * region.rows.upperBound,
                columns: factor * region.columns.lowerBound..<factor * region.columns.upperBound
            )
        )
    }

    /// Blocks from all over the picture, edge to edge. Pixels depend on their neighbours: in most of
    /// this copy they still do, which would not be so if every k-th pixel were taken.
    package func thinned(toArea area: Int) throws -> Tensor {
        let blocks = latent.blocks(ofArea: area)
        return Tensor(
            stacked: try blocks.rows.map { rows in
                Tensor(
                    sideBySide: try blocks.columns.map { columns in
                        try cut(Region(rows: rows, columns: columns))
                    }
                )
            }
        )
    }
}

extension Tensor: TileSource {
    package func cut(_ region: Region) -> Tensor {
        cropped(
            top: region.rows.lowerBound,
            left: region.columns.lowerBound,
            height: region.rows.count,
            width: region.columns.count
        )
    }

    /// Every k-th row and column: this keeps the distribution of values, which averaging would not.
    package func thinned(toArea area: Int) -> Tensor {
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        let step = Extent(height: height, width: width).step(toArea: area)
        let (rows, columns) = (max(1, height / step), max(1, width / step))
        return Tensor(shape: [1, rows, columns, channels]) { out in
            withFloats { x in
                for i in out.indices {
                    let (pixel, channel) = (i / channels, i % channels)
                    let (row, column) = (pixel / columns, pixel % columns)
                    let y = min(height - 1, row * step + step / 2)
                    let c = min(width - 1, column * step + step / 2)
                    out[i] = x[(y * width + c) * channels + channel]
                }
            }
        }
    }
}

/// How smaller copies are made.
extension Extent {
    /// The k of every k-th row and column that leaves at most `area` pixels.
    fileprivate func step(toArea area: Int) -> Int {
        var step = 1
        while (height / step) * (width / step) > area { step += 1 }
        return step
    }

    /// Side of a block, in latent pixels.
    private static let block = 20

    /// Rows and columns of blocks with at most `area` latent pixels in all.
    fileprivate func blocks(ofArea area: Int) -> (rows: [Range<Int>], columns: [Range<Int>]) {
        let side = max(1, Int(Double(area).squareRoot()))
        func pieces(_ length: Int) -> [Range<Int>] {
            guard length > side else { return [0..<length] }
            let (count, each) = (max(1, side / Self.block), min(side, Self.block))
            return (0..<count).map { i in
                let start = i * (length - each) / max(1, count - 1)
                return start..<start + each
            }
        }
        return (pieces(height), pieces(width))
    }

    /// Latent pixels of the smaller copy that a half is evaluated on.
    func thinnedArea(of half: AutoencoderHalf, toArea area: Int) -> Int {
        switch half {
        case .decoder:
            let step = step(toArea: area)
            return max(1, height / step) * max(1, width / step)
        case .encoder:
            let blocks = blocks(ofArea: area)
            func sum(_ pieces: [Range<Int>]) -> Int { pieces.reduce(0) { $0 + $1.count } }
            return sum(blocks.rows) * sum(blocks.columns)
        }
    }
}

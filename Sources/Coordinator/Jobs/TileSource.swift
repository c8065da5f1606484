import Engine

/// What tiles are cut from: a latent, or a picture to be encoded. Places are those of the latent.
package protocol TileSource {
    /// Rows and columns of it, `[1, height, width, channels]`; of a picture so many times the factor.
    ///
    /// - Throws: `InputError` or `OutputError` where it is on disk and cannot be read
    func cut(_ region: Region) throws -> Tensor

    /// A small copy, of at most `area` latent pixels, in which numbers are spread as in the whole.
    ///
    /// - Throws: as `cut`
    func thinned(toArea area: Int) throws -> Tensor
}

extension TileSource {
    /// Some blocks from all over the whole, edge to edge: where neighbours depend on each other, as in a
    /// picture, they do so in most of this, too.
    ///
    /// - Parameters:
    ///   - latent: of the whole
    ///   - area: latent pixels, at most
    ///   - block: side of a block
    /// - Throws: as `cut`
    package func mosaic(of latent: Extent, toArea area: Int, block: Int = 20) throws -> Tensor {
        let side = max(1, Int(Double(area).squareRoot()))
        func pieces(_ length: Int) -> [Range<Int>] {
            guard length > side else { return [0..<length] }
            let (count, each) = (max(1, side / block), min(side, block))
            return (0..<count).map { i in
                let start = i * (length - each) / max(1, count - 1)
                return start..<start + each
            }
        }
        let columns = pieces(latent.width)
        return Tensor(
            stacked: try pieces(latent.height).map { rows in
                Tensor(sideBySide: try columns.map { try cut(Region(rows: rows, columns: $0)) })
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

    /// Every k-th row and column: the numbers in them are spread as they were, which means would not be.
    package func thinned(toArea area: Int) -> Tensor {
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        var step = 1
        while (height / step) * (width / step) > area { step += 1 }
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

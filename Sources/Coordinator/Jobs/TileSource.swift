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

/// Splits parts of a picture that do not fit in a device's memory into an upper and a lower half.
extension TiledNetwork {
    /// The two halves of a tile, each with margins as wide as the receptive field.
    ///
    /// - Parameters:
    ///   - input: the tile with its margins
    ///   - part: what to compute of the tile
    ///   - factor: pixels per latent pixel
    /// - Returns: nil if the halves would not add up to the whole
    package func halves(
        of input: Tensor,
        _ part: PicturePart,
        factor: Int
    ) -> [(input: Tensor, part: PicturePart)]? {
        let seesItself =
            attention.map { part.attention.isEmpty && (part.norm == 0 || part.norm > $0 + 1) }
            ?? false
        guard part.tokens == nil, !seesItself else { return nil }
        let unit = half == .encoder ? factor : 1
        let (height, width) = (input.shape[1] / unit, input.shape[2] / unit)
        let core = part.margins.core(height: height, width: width).rows
        guard core.count >= 2 else { return nil }
        let middle = core.lowerBound + core.count / 2
        let (end, start) = (min(height, middle + halo), max(0, middle - halo))
        func cut(_ rows: Range<Int>, top: Int, bottom: Int) -> (Tensor, PicturePart) {
            var own = part
            // Only activations of whole tiles are kept, not those of halves.
            own.tile = nil
            own.margins = PicturePart.Margins(
                top: top,
                left: part.margins.left,
                bottom: bottom,
                right: part.margins.right
            )
            let tile = input.cropped(
                top: rows.lowerBound * unit,
                left: 0,
                height: rows.count * unit,
                width: input.shape[2]
            )
            return (tile, own)
        }
        return [
            cut(0..<end, top: part.margins.top, bottom: end - middle),
            cut(start..<height, top: middle - start, bottom: part.margins.bottom),
        ]
    }

    /// Combines the results of a tile's halves.
    ///
    /// - Parameters:
    ///   - halves: the result of `halves(of:_:factor:)`
    ///   - results: the result of each half
    ///   - factor: pixels per latent pixel
    /// - Returns: what `VAE.evaluate` would return for the whole tile
    package func joined(
        _ halves: [(input: Tensor, part: PicturePart)],
        _ results: [WorkResult],
        factor: Int
    ) -> WorkResult {
        let tensors = results.compactMap(\.tensor)
        guard halves[0].part.norm > 0 else {
            let height = tensors.reduce(0) { $0 + $1.shape[1] }
            return WorkResult(
                tensor: Tensor(
                    chaining: tensors,
                    shape: [1, height] + tensors[0].shape.dropFirst(2)
                )
            )
        }
        let unit = half == .encoder ? factor : 1
        let rows = halves.map { input, part in
            let (height, width) = (input.shape[1] / unit, input.shape[2] / unit)
            return Double(part.margins.core(height: height, width: width).rows.count)
        }
        let all = rows.reduce(0, +)
        let statistics = results[0].statistics.indices.map { group in
            var (mean, square) = (0.0, 0.0)
            for (rows, result) in zip(rows, results) {
                let own = result.statistics[group]
                mean += rows / all * own.mean
                square += rows / all * (own.variance + own.mean * own.mean)
            }
            return Moments(mean: mean, variance: max(0, square - mean * mean))
        }
        return WorkResult(tensor: nil, statistics: statistics)
    }
}

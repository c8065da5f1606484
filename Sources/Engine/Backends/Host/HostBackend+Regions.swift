import CKernels

/// Regions of pictures, and normalisation by given statistics.
extension HostBackend {
    /// Pixels per block of work.
    private static let pixelsPerBlock = 1024

    package func moments(_ x: Activation, groups: Int, of region: Region?) -> [Moments] {
        let channels = x.shape[x.shape.count - 1]
        precondition(x.shape[0] == 1 && channels % groups == 0, "\(x.shape) in \(groups) groups")
        let runs = Self.runs(of: x.shape, in: region)
        let (from, size) = (pointer(x), element.size)
        let sumsMemory = memory.take(runs.count * 2 * channels * MemoryLayout<Double>.stride)
        defer { withExtendedLifetime(sumsMemory) {} }
        let sums = sumsMemory.start.assumingMemoryBound(to: Double.self)
        threads.run(runs.count) { index, _ in
            let own = sums + index * 2 * channels
            own.update(repeating: 0, count: 2 * channels)
            tessera_column_moments(
                from + runs[index].first * channels * size,
                runs[index].count,
                channels,
                own,
                own + channels,
                element.rawValue
            )
        }
        for i in 2 * channels..<max(2, 2 * runs.count) * channels {
            sums[i % (2 * channels)] += sums[i]
        }
        let count = Double(runs.reduce(0) { $0 + $1.count } * (channels / groups))
        return (0..<groups).map { group in
            let own = group * channels / groups..<(group + 1) * channels / groups
            let mean = own.reduce(0) { $0 + sums[$1] } / count
            let square = own.reduce(0) { $0 + sums[channels + $1] } / count
            return Moments(mean: mean, variance: max(0, square - mean * mean))
        }
    }

    /// Runs of adjacent pixels whose sums are accumulated together.
    private static func runs(of shape: [Int], in region: Region?) -> [(first: Int, count: Int)] {
        guard let region else {
            let pixels = shape.dropLast().reduce(1, *)
            return stride(from: 0, to: pixels, by: pixelsPerBlock).map {
                ($0, min(pixelsPerBlock, pixels - $0))
            }
        }
        precondition(
            shape.count == 4 && region.rows.upperBound <= shape[1]
                && region.columns.upperBound <= shape[2],
            "\(region) of \(shape)"
        )
        return region.rows.map {
            ($0 * shape[2] + region.columns.lowerBound, region.columns.count)
        }
    }

    package func normalise(
        _ x: Activation,
        _ weights: NormWeights,
        epsilon: Float,
        by statistics: [Moments],
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation {
        let channels = weights.channels
        precondition(
            x.shape.last == channels && !statistics.isEmpty && channels % statistics.count == 0,
            "\(x.shape) by \(statistics.count) groups"
        )
        let size = channels / statistics.count
        var scales = [Float](repeating: 0, count: 2 * channels)
        matrix(weights.storage).withFloats { scale, shift in
            guard let shift else { preconditionFailure("a norm without shift") }
            for c in 0..<channels {
                let group = statistics[c / size]
                let a = Double(scale[c]) / (group.variance + Double(epsilon)).squareRoot()
                scales[c] = Float(a)
                scales[channels + c] = Float(Double(shift[c]) - group.mean * a)
            }
        }
        let result = overwriting ? x : make(x.shape)
        let (from, out, step) = (pointer(x), pointer(result), Self.pixelsPerBlock)
        let pixels = x.shape.dropLast().reduce(1, *)
        scales.withUnsafeBufferPointer { scales in
            guard let start = scales.baseAddress else { return }
            threads.run((pixels + step - 1) / step) { block, _ in
                let at = block * step * channels * element.size
                tessera_scale_shift(
                    from + at,
                    out + at,
                    min(step, pixels - block * step),
                    channels,
                    start,
                    start + channels,
                    f.rawValue,
                    element.rawValue
                )
            }
        }
        return result
    }

    package func pick(_ x: Activation, rows: [Int], columns: [Int]) -> Activation {
        precondition(
            x.shape.count == 4 && x.shape[0] == 1 && rows.allSatisfy { $0 < x.shape[1] }
                && columns.allSatisfy { $0 < x.shape[2] },
            "\(rows) × \(columns) of \(x.shape)"
        )
        let result = make([1, rows.count, columns.count, x.shape[3]])
        let (from, out, pixel) = (pointer(x), pointer(result), x.shape[3] * element.size)
        let (width, count) = (x.shape[2], columns.count)
        let first = columns.first ?? 0
        let isContiguous = columns.last == first + count - 1
        threads.run(rows.count) { row, _ in
            let line = from + rows[row] * width * pixel
            let to = out + row * count * pixel
            guard !isContiguous else {
                return to.copyMemory(from: line + first * pixel, byteCount: count * pixel)
            }
            for column in 0..<count {
                (to + column * pixel)
                    .copyMemory(from: line + columns[column] * pixel, byteCount: pixel)
            }
        }
        return result
    }
}

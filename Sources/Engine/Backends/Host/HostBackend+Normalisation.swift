import CKernels

extension HostBackend {
    /// Pixels whose sums are taken together.
    private static let pixelsPerBlock = 1024

    package func groupNorm(
        _ x: Activation,
        _ weights: NormWeights,
        groups: Int,
        epsilon: Float,
        plus channelBias: Activation?,
        then f: Nonlinearity
    ) -> Activation {
        precondition(
            x.shape.count >= 3 && x.shape.last == weights.channels
                && weights.channels % groups == 0,
            "\(x.shape) by \(weights) in \(groups) groups"
        )
        let (n, channels) = (x.shape[0], weights.channels)
        let bias = channelBias.map { channelBias in
            precondition(channelBias.shape == [n, channels], "\(channelBias.shape)")
            return download(channelBias).values
        }
        let pixels = x.shape.dropFirst().dropLast().reduce(1, *)
        let result = make(x.shape)
        let (from, out, size) = (pointer(x), pointer(result), element.size)
        let blocks = (pixels + Self.pixelsPerBlock - 1) / Self.pixelsPerBlock
        // Per block: the sum, then the sum of squares, of every channel.
        var moments = [Double](repeating: 0, count: n * blocks * 2 * channels)
        moments.withUnsafeMutableBufferPointer { moments in
            guard let moments = moments.baseAddress else { return }
            threads.run(n * blocks) { index, _ in
                let first = index % blocks * Self.pixelsPerBlock
                let row = index / blocks * pixels + first
                let sums = moments + index * 2 * channels
                tessera_column_moments(
                    from + row * channels * size,
                    min(Self.pixelsPerBlock, pixels - first),
                    channels,
                    sums,
                    sums + channels,
                    element.rawValue
                )
            }
        }
        // Per picture: the factor, then the summand, of every channel.
        var scales: [Float] = []
        matrix(weights.storage).withFloats { scale, shift in
            guard let shift else { preconditionFailure("a norm without shift") }
            for picture in 0..<n {
                let own = 2 * channels * blocks
                scales += Moments(
                    blocks: moments[picture * own..<(picture + 1) * own],
                    bias: bias.map { $0[picture * channels..<(picture + 1) * channels] },
                    channels: channels,
                    pixels: pixels
                ).scales(groups: groups, epsilon: epsilon, scale: scale, shift: shift)
            }
        }
        scales.withUnsafeBufferPointer { scales in
            guard let scales = scales.baseAddress else { return }
            threads.run(n * blocks) { index, _ in
                let first = index % blocks * Self.pixelsPerBlock
                let picture = index / blocks
                let at = (picture * pixels + first) * channels * size
                let own = scales + picture * 2 * channels
                tessera_scale_shift(
                    from + at,
                    out + at,
                    min(Self.pixelsPerBlock, pixels - first),
                    channels,
                    own,
                    own + channels,
                    f.rawValue,
                    element.rawValue
                )
            }
        }
        return result
    }

    package func layerNorm(_ x: Activation, _ weights: NormWeights, epsilon: Float) -> Activation {
        precondition(x.shape.last == weights.channels, "\(x.shape) by \(weights)")
        let result = make(x.shape)
        let (from, out) = (pointer(x), pointer(result))
        let width = weights.channels
        let rows = x.shape.dropLast().reduce(1, *)
        let step = Self.rowsPerBlock
        matrix(weights.storage).withFloats { scale, shift in
            threads.run((rows + step - 1) / step) { block, _ in
                let at = block * step * width * element.size
                tessera_layer_norm(
                    from + at,
                    out + at,
                    min(step, rows - block * step),
                    width,
                    scale,
                    shift,
                    epsilon,
                    element.rawValue
                )
            }
        }
        return result
    }
}

/// Sums over the pixels of one picture, of every channel plus its bias.
private struct Moments {
    /// Σ x and Σ x², a channel after the other.
    private var sums: [Double]
    private var squares: [Double]
    /// What is added to every pixel of a channel.
    private let bias: [Double]
    private let pixels: Int

    /// Adds up the sums, then the sums of squares, of every channel that the blocks hold.
    init(blocks: ArraySlice<Double>, bias: ArraySlice<Float>?, channels: Int, pixels: Int) {
        sums = Array(repeating: 0, count: channels)
        squares = sums
        self.bias = bias.map { $0.map(Double.init) } ?? sums
        self.pixels = pixels
        for first in stride(from: blocks.startIndex, to: blocks.endIndex, by: 2 * channels) {
            for c in 0..<channels {
                sums[c] += blocks[first + c]
                squares[c] += blocks[first + channels + c]
            }
        }
        // Σ (x + b)² = Σ x² + 2 b Σ x + n b²
        for c in 0..<channels {
            squares[c] += self.bias[c] * (2 * sums[c] + Double(pixels) * self.bias[c])
            sums[c] += Double(pixels) * self.bias[c]
        }
    }

    /// The normalisation as x · a + b for every channel: all a first, then all b.
    func scales(
        groups: Int,
        epsilon: Float,
        scale: UnsafePointer<Float>,
        shift: UnsafePointer<Float>
    ) -> [Float] {
        let channels = sums.count
        let size = channels / groups
        var result = [Float](repeating: 0, count: 2 * channels)
        for group in 0..<groups {
            let own = group * size..<(group + 1) * size
            let count = Double(size * pixels)
            let mean = sums[own].reduce(0, +) / count
            let variance = max(0, squares[own].reduce(0, +) / count - mean * mean)
            let inverse = 1 / (variance + Double(epsilon)).squareRoot()
            for c in own {
                let a = Double(scale[c]) * inverse
                result[c] = Float(a)
                result[channels + c] = Float(Double(shift[c]) - (mean - bias[c]) * a)
            }
        }
        return result
    }
}

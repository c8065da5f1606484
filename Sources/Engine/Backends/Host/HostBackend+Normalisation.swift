import CKernels

extension HostBackend {
    /// Pixels whose sums are accumulated together.
    private static let pixelsPerBlock = 1024

    package func groupNorm(
        _ x: Activation,
        _ weights: NormWeights,
        groups: Int,
        epsilon: Float,
        plus channelBias: Activation?,
        then f: Nonlinearity,
        overwriting: Bool
    ) -> Activation {
        precondition(
            x.shape.count >= 3 && x.shape.last == weights.channels
                && weights.channels % groups == 0,
            "\(x.shape) by \(weights) in \(groups) groups"
        )
        let (n, channels) = (x.shape[0], weights.channels)
        channelBias.map { precondition($0.shape == [n, channels], "\($0.shape)") }
        let pixels = x.shape.dropFirst().dropLast().reduce(1, *)
        let result = overwriting ? x : make(x.shape)
        let (from, out, size) = (pointer(x), pointer(result), element.size)
        let blocks = (pixels + Self.pixelsPerBlock - 1) / Self.pixelsPerBlock
        // Per block: the sum of every channel, then the sum of squares of every channel.
        let momentsMemory = memory.take(n * blocks * 2 * channels * MemoryLayout<Double>.stride)
        let moments = momentsMemory.start.assumingMemoryBound(to: Double.self)
        threads.run(n * blocks) { index, _ in
            let first = index % blocks * Self.pixelsPerBlock
            let row = index / blocks * pixels + first
            let sums = moments + index * 2 * channels
            sums.update(repeating: 0, count: 2 * channels)
            tessera_column_moments(
                from + row * channels * size,
                min(Self.pixelsPerBlock, pixels - first),
                channels,
                sums,
                sums + channels,
                element.rawValue
            )
        }
        // Per picture: the factor of every channel, then the offset of every channel.
        let scalesMemory = memory.take(n * 2 * channels * MemoryLayout<Float>.stride)
        let scales = scalesMemory.start.assumingMemoryBound(to: Float.self)
        let biasMemory = memory.take(n * channels * MemoryLayout<Float>.stride)
        let bias = biasMemory.start.assumingMemoryBound(to: Float.self)
        defer { withExtendedLifetime((momentsMemory, scalesMemory, biasMemory)) {} }
        if let channelBias {
            tessera_to_float(pointer(channelBias), bias, n * channels, element.rawValue)
        } else {
            bias.update(repeating: 0, count: n * channels)
        }
        matrix(weights.storage).withFloats { scale, shift in
            guard let shift else { preconditionFailure("a norm without shift") }
            for picture in 0..<n {
                let moments = ChannelMoments(
                    adding: moments + picture * 2 * channels * blocks,
                    blocks: blocks,
                    channels: channels,
                    pixels: pixels
                )
                moments.shift(by: bias + picture * channels)
                moments.normalise(
                    groups: groups,
                    epsilon: epsilon,
                    scale: scale,
                    shift: shift,
                    bias: bias + picture * channels,
                    into: scales + picture * 2 * channels
                )
            }
        }
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

/// Per-channel sums over the pixels of one picture, in borrowed memory.
private struct ChannelMoments {
    /// Σ x of every channel, then Σ x² of every channel.
    private let sums: UnsafeMutablePointer<Double>
    private let squares: UnsafeMutablePointer<Double>
    private let channels: Int
    private let pixels: Int

    /// Adds up all blocks in the first one; each holds the sums, then the sums of squares, of every channel.
    init(adding moments: UnsafeMutablePointer<Double>, blocks: Int, channels: Int, pixels: Int) {
        for i in 2 * channels..<max(2, 2 * blocks) * channels {
            moments[i % (2 * channels)] += moments[i]
        }
        (sums, squares) = (moments, moments + channels)
        (self.channels, self.pixels) = (channels, pixels)
    }

    /// Turns the sums of x into those of x + bias: Σ (x + b)² = Σ x² + 2 b Σ x + n b²
    func shift(by bias: UnsafePointer<Float>) {
        for c in 0..<channels {
            let (b, n) = (Double(bias[c]), Double(pixels))
            squares[c] += b * (2 * sums[c] + n * b)
            sums[c] += n * b
        }
    }

    /// Writes the normalisation as x · a + b per channel: first every a, then every b.
    func normalise(
        groups: Int,
        epsilon: Float,
        scale: UnsafePointer<Float>,
        shift: UnsafePointer<Float>,
        bias: UnsafePointer<Float>,
        into result: UnsafeMutablePointer<Float>
    ) {
        let size = channels / groups
        for group in 0..<groups {
            let own = group * size..<(group + 1) * size
            let count = Double(size * pixels)
            let mean = own.reduce(0) { $0 + sums[$1] } / count
            let variance = max(0, own.reduce(0) { $0 + squares[$1] } / count - mean * mean)
            let inverse = 1 / (variance + Double(epsilon)).squareRoot()
            for c in own {
                let a = Double(scale[c]) * inverse
                result[c] = Float(a)
                result[channels + c] = Float(Double(shift[c]) - (mean - Double(bias[c])) * a)
            }
        }
    }
}

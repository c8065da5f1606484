import CKernels

extension OpenBLASBackend {
    /// Pixels whose sums are taken together.
    private static let pixelsPerBlock = 1024

    package func groupNorm(
        _ x: Activation,
        _ weights: NormWeights,
        groups: Int,
        epsilon: Float,
        then f: Nonlinearity
    ) -> Activation {
        precondition(
            x.shape.count >= 3 && x.shape.last == weights.channels
                && weights.channels % groups == 0,
            "\(x.shape) by \(weights) in \(groups) groups"
        )
        let (n, channels) = (x.shape[0], weights.channels)
        let pixels = x.shape.dropFirst().dropLast().reduce(1, *)
        let (result, space) = make(x.shape)
        guard let out = space.baseAddress else { return result }
        let from = pointer(x)
        let blocks = (pixels + Self.pixelsPerBlock - 1) / Self.pixelsPerBlock
        // Per block: the sum, then the sum of squares, of every channel.
        var moments = [Double](repeating: 0, count: n * blocks * 2 * channels)
        var scales = [Float](repeating: 0, count: n * 2 * channels)
        moments.withUnsafeMutableBufferPointer { moments in
            guard let moments = moments.baseAddress else { return }
            threads.run(n * blocks) { index, _ in
                let first = index % blocks * Self.pixelsPerBlock
                let row = index / blocks * pixels + first
                let sums = moments + index * 2 * channels
                tessera_column_moments(
                    from + row * channels,
                    min(Self.pixelsPerBlock, pixels - first),
                    channels,
                    sums,
                    sums + channels
                )
            }
        }
        matrix(weights.storage).withFloats { scale, shift in
            guard let shift else { preconditionFailure("a norm without shift") }
            for picture in 0..<n {
                moments.withUnsafeBufferPointer { moments in
                    let own = moments[
                        picture * blocks * 2 * channels..<(picture + 1) * blocks * 2 * channels
                    ]
                    scales.withUnsafeMutableBufferPointer { scales in
                        foldMoments(
                            UnsafeBufferPointer(rebasing: own),
                            blocks: blocks,
                            channels: channels,
                            groups: groups,
                            pixels: pixels,
                            epsilon: epsilon,
                            scale: scale,
                            shift: shift,
                            into: UnsafeMutableBufferPointer(
                                rebasing: scales[
                                    picture * 2 * channels..<(picture + 1) * 2 * channels
                                ]
                            )
                        )
                    }
                }
            }
        }
        scales.withUnsafeBufferPointer { scales in
            guard let scales = scales.baseAddress else { return }
            threads.run(n * blocks) { index, _ in
                let first = index % blocks * Self.pixelsPerBlock
                let picture = index / blocks
                let at = (picture * pixels + first) * channels
                let own = scales + picture * 2 * channels
                tessera_scale_shift(
                    from + at,
                    out + at,
                    min(Self.pixelsPerBlock, pixels - first),
                    channels,
                    own,
                    own + channels,
                    f.rawValue
                )
            }
        }
        return result
    }

    /// From the sums of one picture to x · a + b for every channel: a first, then b.
    private func foldMoments(
        _ moments: UnsafeBufferPointer<Double>,
        blocks: Int,
        channels: Int,
        groups: Int,
        pixels: Int,
        epsilon: Float,
        scale: UnsafePointer<Float>,
        shift: UnsafePointer<Float>,
        into result: UnsafeMutableBufferPointer<Float>
    ) {
        let size = channels / groups
        let count = Double(size * pixels)
        for group in 0..<groups {
            let own = group * size..<(group + 1) * size
            var (sum, squares) = (0.0, 0.0)
            for block in 0..<blocks {
                let at = block * 2 * channels
                for c in own {
                    sum += moments[at + c]
                    squares += moments[at + channels + c]
                }
            }
            let mean = sum / count
            let variance = max(0, squares / count - mean * mean)
            let inverse = 1 / (variance + Double(epsilon)).squareRoot()
            for c in own {
                let a = Double(scale[c]) * inverse
                result[c] = Float(a)
                result[channels + c] = Float(Double(shift[c]) - mean * a)
            }
        }
    }

    package func layerNorm(_ x: Activation, _ weights: NormWeights, epsilon: Float) -> Activation {
        precondition(x.shape.last == weights.channels, "\(x.shape) by \(weights)")
        let (result, space) = make(x.shape)
        guard let out = space.baseAddress else { return result }
        let from = pointer(x)
        let width = weights.channels
        let rows = space.count / width
        let step = Self.rowsPerBlock
        matrix(weights.storage).withFloats { scale, shift in
            threads.run((rows + step - 1) / step) { block, _ in
                let first = block * step
                tessera_layer_norm(
                    from + first * width,
                    out + first * width,
                    min(step, rows - first),
                    width,
                    scale,
                    shift,
                    epsilon
                )
            }
        }
        return result
    }
}

import CTorch

extension TorchBackend {
    /// Maximum elements that are widened to float32 at a time to measure their moments.
    private static let measuredAtOnce = 1 << 24

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
        var x = x
        if let channelBias {
            precondition(channelBias.shape == [n, channels], "\(channelBias.shape)")
            let pixels = x.shape.dropFirst().dropLast().reduce(1, *)
            let biased = sum(
                view(tensor(x), [n, pixels, channels]),
                view(tensor(channelBias), [n, 1, channels])
            )
            x = activation(biased, x.shape)
        }
        let norm = norm(weights.storage)
        let y = call(
            "aten::group_norm",
            [
                .tensor(pictures(x)), .int(groups), .optional(norm.scale), .optional(norm.shift),
                .double(Double(epsilon)), .bool(true),
            ]
        )
        return normed(y, x.shape, then: f)
    }

    /// A normalised picture as an activation, after applying `f`.
    private func normed(_ y: TorchTensor, _ shape: [Int], then f: Nonlinearity) -> Activation {
        var y = y
        apply(f, inPlace: &y)
        return activation(y, Self.pictureShape(shape), axes: [0, 2, 3, 1], shape: shape)
    }

    package func layerNorm(_ x: Activation, _ weights: NormWeights, epsilon: Float) -> Activation {
        precondition(x.shape.last == weights.channels, "\(x.shape) by \(weights)")
        let norm = norm(weights.storage)
        let y = call(
            "aten::layer_norm",
            [
                .tensor(rows(x)), .ints([weights.channels]), .optional(norm.scale),
                .optional(norm.shift), .double(Double(epsilon)), .bool(true),
            ]
        )
        return activation(y, x.shape)
    }

    /// Moments are measured on the device in float32, a few rows at a time, and combined here in double precision.
    package func moments(_ x: Activation, groups: Int, of region: Region?) -> [Moments] {
        let channels = x.shape[x.shape.count - 1]
        precondition(x.shape[0] == 1 && channels % groups == 0, "\(x.shape) in \(groups) groups")
        let s = Self.pictureShape(x.shape)
        let region = region ?? Region(rows: 0..<s[1], columns: 0..<s[2])
        precondition(
            region.rows.upperBound <= s[1] && region.columns.upperBound <= s[2],
            "\(region) of \(x.shape)"
        )
        let (row, size) = (s[2] * channels, channels / groups)
        let step = max(1, Self.measuredAtOnce / max(1, region.columns.count * channels))
        let firsts = Array(
            stride(from: region.rows.lowerBound, to: region.rows.upperBound, by: step)
        )
        // All parts are downloaded together, because each download waits for the device.
        let found = empty([firsts.count, 2, groups], nil, tessera_torch_float32)
        for (place, first) in firsts.enumerated() {
            let sizes = [
                min(step, region.rows.upperBound - first), region.columns.count, groups, size,
            ]
            let part = view(
                tensor(x),
                sizes,
                [row, channels, size, 1],
                offset: first * row + region.columns.lowerBound * channels
            )
            let both = calls(
                "aten::var_mean",
                "dim",
                [
                    .tensor(isShort ? widened(part, sizes) : part), .optionalInts([0, 1, 3]),
                    .bool(false), .bool(false),
                ],
                results: 2
            )
            for (i, one) in both.enumerated() {
                copy(one, to: view(found, [groups], offset: (2 * place + i) * groups))
            }
        }
        let numbers = downloaded(found, [firsts.count, 2, groups]).values
        var sums = [(mean: Double, square: Double)](repeating: (0, 0), count: groups)
        for (place, first) in firsts.enumerated() {
            let weight = Double(min(step, region.rows.upperBound - first))
            for group in 0..<groups {
                let variance = Double(numbers[2 * place * groups + group])
                let mean = Double(numbers[(2 * place + 1) * groups + group])
                sums[group].mean += weight * mean
                sums[group].square += weight * (variance + mean * mean)
            }
        }
        let all = Double(region.rows.count)
        return sums.map { sum in
            let mean = sum.mean / all
            return Moments(mean: mean, variance: max(0, sum.square / all - mean * mean))
        }
    }

    private func widened(_ x: TorchTensor, _ sizes: [Int]) -> TorchTensor {
        let wide = empty(sizes, nil, tessera_torch_float32)
        copy(x, to: wide)
        return wide
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
        let (size, norm) = (channels / statistics.count, norm(weights.storage))
        let factors = (0..<channels).map { c in
            Double(norm.ownScale.values(c))
                / (statistics[c / size].variance + Double(epsilon)).squareRoot()
        }
        let summands = (0..<channels).map { c in
            Double(norm.ownShift.values(c)) - statistics[c / size].mean * factors[c]
        }
        /// One value per channel; PyTorch accepts them in float32 with pictures of any precision.
        func each(_ numbers: [Float]) -> TorchArgument {
            .optional(uploaded(Tensor(numbers, shape: [channels]), tessera_torch_float32))
        }
        // x · a + b as a batch norm with mean 0 and variance 1.
        let y = call(
            "aten::batch_norm",
            [
                .tensor(pictures(x)), each(factors.map { Float($0) }),
                each(summands.map { Float($0) }),
                each([Float](repeating: 0, count: channels)),
                each([Float](repeating: 1, count: channels)), .bool(false), .double(0), .double(0),
                .bool(false),
            ]
        )
        return normed(y, x.shape, then: f)
    }
}

extension Tensor {
    fileprivate func values(_ i: Int) -> Float { withFloats { $0[i] } }
}

/// Doubles both sides of a picture, then applies a convolution.
///
/// A 3 × 3 kernel over doubled pixels covers only 2 × 2 distinct pixels, and which of its weights fall on the same
/// pixel depends only on the parities of the row and the column. So each parity gets a 2 × 2 kernel of sums of weights,
/// applied to the original picture: four ninths of the multiplications, and no doubled picture.
struct Upsample {
    private let conv: Conv2d
    /// The four convolutions by parity, the row's parity first.
    private let quarters: [Conv2d]

    init(_ weights: ModuleWeights, _ channels: Int) throws {
        let module = weights["upsamplers"][0]["conv"]
        conv = try module.conv3x3(channels, channels)
        quarters = try module.quartersOfDoubled(channels, channels)
    }

    /// - Parameters:
    ///   - x: `[n, h, w, channels]`
    ///   - height: height of the result: 2h, or 2h − 1 if a picture of odd height had been halved
    ///   - width: likewise for the width
    /// - Returns: `[n, height, width, channels]`
    func callAsFunction(_ x: Activation, height: Int, width: Int) -> Activation {
        let backend = conv.backend
        guard (height, width) == (2 * x.shape[1], 2 * x.shape[2]) else {
            // With an odd size, zero padding directly follows the last even row or column; none of the
            // parity kernels allows for that.
            return conv(backend.upsampleNearest(x, height: height, width: width))
        }
        return backend.interleave { quarters[$0](x) }
    }
}

extension ModuleWeights {
    /// A 3 × 3 convolution of doubled pixels as four 2 × 2 convolutions of the original pixels, by the parities of the
    /// result's rows and columns: (0, 0), (0, 1), (1, 0), (1, 1).
    fileprivate func quartersOfDoubled(_ inputs: Int, _ outputs: Int) throws -> [Conv2d] {
        try (0..<4).map { parity in
            let (odd, oddColumn) = (parity / 2, parity % 2)
            return try conv(
                inputs,
                outputs,
                kernel: 2,
                padding: Padding(top: 1 - odd, left: 1 - oddColumn, bottom: odd, right: oddColumn)
            ) { $0.foldedOverDoubled(oddRow: odd == 1, oddColumn: oddColumn == 1) }
        }
    }
}

extension Tensor {
    /// Sums of the weights `[outputs, inputs, 3, 3]` that fall on the same pixel: `[outputs, inputs, 2, 2]`.
    fileprivate func foldedOverDoubled(oddRow: Bool, oddColumn: Bool) -> Tensor {
        // An even row sees the pixel before it (weight 0) and the one under it (weights 1 +
        // 2); an odd row 0 + 1, and 2.
        func place(_ k: Int, _ odd: Bool) -> Int { odd ? k / 2 : (k + 1) / 2 }
        return Tensor(shape: Array(shape[..<2]) + [2, 2]) { out in
            out.update(repeating: 0)
            withFloats { x in
                for kernel in 0..<x.count / 9 {
                    for ky in 0..<3 {
                        for kx in 0..<3 {
                            let to = 2 * place(ky, oddRow) + place(kx, oddColumn)
                            out[4 * kernel + to] += x[9 * kernel + 3 * ky + kx]
                        }
                    }
                }
            }
        }
    }
}

import Engine
import Foundation

/// The naive versions of the backends' operations, in double precision: what the kernels are
/// checked against. Slow and obvious on purpose.
enum Oracle {
    static func apply(_ f: Nonlinearity, _ x: Double) -> Double {
        switch f {
        case .identity: x
        case .silu: x / (1 + exp(-x))
        case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
        case .quickGelu: x / (1 + exp(-1.702 * x))
        }
    }

    /// `x` `[rows, inputs]`, `weight` `[outputs, inputs]`.
    static func linear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) -> [Double] {
        let (inputs, outputs) = (weight.shape[1], weight.shape[0])
        let (a, w, b) = (x.values, weight.values, bias?.values)
        return (0..<x.count / inputs).flatMap { row in
            (0..<outputs).map { o in
                (0..<inputs).reduce(Double(b?[o] ?? 0)) {
                    $0 + Double(a[row * inputs + $1]) * Double(w[o * inputs + $1])
                }
            }
        }
    }

    /// `x` `[n, h, w, inputs]`, `weight` `[outputs, inputs, k, k]`; the result is NHWC.
    static func conv2d(
        _ x: Tensor,
        _ weight: Tensor,
        _ bias: Tensor?,
        stride: Int,
        padding: Padding
    ) -> (shape: [Int], values: [Double]) {
        let (n, h, w, inputs) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        let (outputs, k) = (weight.shape[0], weight.shape[2])
        let outHeight = (h + padding.top + padding.bottom - k) / stride + 1
        let outWidth = (w + padding.left + padding.right - k) / stride + 1
        let (a, f, b) = (x.values, weight.values, bias?.values)
        var result: [Double] = []
        for i in 0..<n {
            for y in 0..<outHeight {
                for column in 0..<outWidth {
                    for o in 0..<outputs {
                        var sum = Double(b?[o] ?? 0)
                        for ky in 0..<k {
                            for kx in 0..<k {
                                let py = y * stride + ky - padding.top
                                let px = column * stride + kx - padding.left
                                guard (0..<h).contains(py), (0..<w).contains(px) else { continue }
                                for c in 0..<inputs {
                                    sum +=
                                        Double(a[((i * h + py) * w + px) * inputs + c])
                                        * Double(f[((o * inputs + c) * k + ky) * k + kx])
                                }
                            }
                        }
                        result.append(sum)
                    }
                }
            }
        }
        return ([n, outHeight, outWidth, outputs], result)
    }

    /// `x` `[n, …, channels]`.
    static func groupNorm(
        _ x: Tensor,
        scale: Tensor,
        shift: Tensor,
        groups: Int,
        epsilon: Double
    ) -> [Double] {
        let (n, channels) = (x.shape[0], scale.count)
        let (size, pixels) = (channels / groups, x.count / n / channels)
        let (a, s, t) = (x.values, scale.values, shift.values)
        var result = [Double](repeating: 0, count: x.count)
        for i in 0..<n {
            for g in 0..<groups {
                let indices = (0..<pixels).flatMap { p in
                    (g * size..<(g + 1) * size).map { (i * pixels + p) * channels + $0 }
                }
                let own = indices.map { Double(a[$0]) }
                let mean = own.reduce(0, +) / Double(own.count)
                let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(own.count)
                for (at, value) in zip(indices, own) {
                    let c = at % channels
                    result[at] =
                        (value - mean) / (variance + epsilon).squareRoot() * Double(s[c])
                        + Double(t[c])
                }
            }
        }
        return result
    }

    /// `[n, tokens, heads · width]` each.
    static func attention(
        _ q: Tensor,
        _ k: Tensor,
        _ v: Tensor,
        heads: Int,
        causal: Bool
    ) -> [Double] {
        let (n, rows, all, keys) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
        let width = all / heads
        let (a, b, c) = (q.values, k.values, v.values)
        var result = [Double](repeating: 0, count: q.count)
        for i in 0..<n {
            for head in 0..<heads {
                for row in 0..<rows {
                    let seen = causal ? min(keys, row + 1) : keys
                    let at = (i * rows + row) * all + head * width
                    let scores = (0..<seen).map { key in
                        (0..<width).reduce(0.0) {
                            $0 + Double(a[at + $1])
                                * Double(b[(i * keys + key) * all + head * width + $1])
                        } / Double(width).squareRoot()
                    }
                    let top = scores.max() ?? 0
                    let weights = scores.map { exp($0 - top) }
                    let total = weights.reduce(0, +)
                    for key in 0..<seen {
                        for d in 0..<width {
                            result[at + d] +=
                                weights[key] / total
                                * Double(c[(i * keys + key) * all + head * width + d])
                        }
                    }
                }
            }
        }
        return result
    }
}

/// Pseudo-random numbers that are the same in every run.
struct Noise {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    /// Uniform in −1…1 times `scale`, and exact in bfloat16.
    mutating func bfloats(_ shape: [Int], scale: Float = 1) -> Tensor {
        let values = tensor(shape, scale: scale).values
        return Tensor(values.map { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) }, shape: shape)
    }

    /// Uniform in −1…1 times `scale`, plus `offset`.
    mutating func tensor(_ shape: [Int], scale: Float = 1, offset: Float = 0) -> Tensor {
        Tensor(shape: shape) { out in
            for i in out.indices {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                out[i] = offset + scale * (Float(state >> 40) / Float(1 << 23) - 1)
            }
        }
    }
}

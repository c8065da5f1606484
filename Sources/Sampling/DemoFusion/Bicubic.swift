import Engine

/// Bicubic resizing with a = −0.75, half-pixel centres and clamped edges, like PyTorch's `interpolate(mode="bicubic")`,
/// with which the reference implementation upsamples latents.
package enum Bicubic {
    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - size: size of the result
    /// - Returns: `[1, size.height, size.width, channels]`
    package static func resize(_ x: Tensor, to size: Extent) -> Tensor {
        precondition(x.shape.count == 4 && x.shape[0] == 1, "\(x.shape)")
        let (h, w, c) = (x.shape[1], x.shape[2], x.shape[3])
        let rows = (0..<size.height).map { Tap(output: $0, from: h, to: size.height) }
        let columns = (0..<size.width).map { Tap(output: $0, from: w, to: size.width) }
        // Resizes along x first, then along y.
        let wide = Tensor(shape: [1, h, size.width, c]) { out in
            x.withFloats { x in
                for y in 0..<h {
                    for (i, tap) in columns.enumerated() {
                        let to = (y * size.width + i) * c
                        for lane in 0..<c {
                            out[to + lane] = tap.sum { x[(y * w + $0) * c + lane] }
                        }
                    }
                }
            }
        }
        let line = size.width * c
        return Tensor(shape: [1, size.height, size.width, c]) { out in
            wide.withFloats { x in
                for (i, tap) in rows.enumerated() {
                    for lane in 0..<line { out[i * line + lane] = tap.sum { x[$0 * line + lane] } }
                }
            }
        }
    }

    /// The four input samples for each output sample along an axis, and their weights.
    private struct Tap {
        let at: (Int, Int, Int, Int)
        let weight: (Float, Float, Float, Float)

        init(output: Int, from: Int, to: Int) {
            let centre = (Float(output) + 0.5) * (Float(from) / Float(to)) - 0.5
            let below = centre.rounded(.down)
            let t = centre - below
            func near(_ x: Float) -> Float { ((1.25 * x - 2.25) * x) * x + 1 }
            func far(_ x: Float) -> Float { ((-0.75 * x + 3.75) * x - 6) * x + 3 }
            weight = (far(t + 1), near(t), near(1 - t), far(2 - t))
            func clamped(_ i: Int) -> Int { min(max(Int(below) + i, 0), from - 1) }
            at = (clamped(-1), clamped(0), clamped(1), clamped(2))
        }

        func sum(_ x: (Int) -> Float) -> Float {
            weight.0 * x(at.0) + weight.1 * x(at.1) + weight.2 * x(at.2) + weight.3 * x(at.3)
        }
    }
}

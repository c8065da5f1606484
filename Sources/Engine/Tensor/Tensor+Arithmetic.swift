extension Tensor {
    /// Applies `f` to every element.
    package func map(_ f: (Float) -> Float) -> Tensor {
        Tensor(shape: shape) { out in
            withFloats { x in for i in x.indices { out[i] = f(x[i]) } }
        }
    }

    /// Combines two tensors of the same shape element by element.
    package func zip(_ other: Tensor, _ f: (Float, Float) -> Float) -> Tensor {
        precondition(shape == other.shape, "\(shape) vs \(other.shape)")
        return Tensor(shape: shape) { out in
            withFloats { x in
                other.withFloats { y in for i in x.indices { out[i] = f(x[i], y[i]) } }
            }
        }
    }

    package static func + (a: Tensor, b: Tensor) -> Tensor { a.zip(b) { $0 + $1 } }
    package static func - (a: Tensor, b: Tensor) -> Tensor { a.zip(b) { $0 - $1 } }
    package static func * (a: Tensor, k: Float) -> Tensor { a.map { $0 * k } }
    package static func * (k: Float, a: Tensor) -> Tensor { a.map { k * $0 } }

    /// Mean and standard deviation of all elements (divided by n − 1, like PyTorch's `std`),
    /// accumulated in double precision.
    package func meanAndDeviation() -> (mean: Float, deviation: Float) {
        withFloats { x in
            let n = Double(x.count)
            var sum = 0.0
            for v in x { sum += Double(v) }
            let mean = sum / n
            var squares = 0.0
            for v in x { squares += (Double(v) - mean) * (Double(v) - mean) }
            return (Float(mean), Float((squares / max(1, n - 1)).squareRoot()))
        }
    }

    /// `[n, c, h, w]` to `[n, h, w, c]`.
    package func channelsLast() -> Tensor {
        precondition(shape.count == 4, "\(shape)")
        let (n, c, plane) = (shape[0], shape[1], shape[2] * shape[3])
        return transposed(batches: n, rows: c, columns: plane, to: [n, shape[2], shape[3], c])
    }

    /// `[n, h, w, c]` to `[n, c, h, w]`.
    package func channelsFirst() -> Tensor {
        precondition(shape.count == 4, "\(shape)")
        let (n, plane, c) = (shape[0], shape[1] * shape[2], shape[3])
        return transposed(batches: n, rows: plane, columns: c, to: [n, c, shape[1], shape[2]])
    }

    private func transposed(batches: Int, rows: Int, columns: Int, to shape: [Int]) -> Tensor {
        Tensor(shape: shape) { out in
            withFloats { x in
                for b in 0..<batches {
                    let base = b * rows * columns
                    for r in 0..<rows {
                        for c in 0..<columns {
                            out[base + c * rows + r] = x[base + r * columns + c]
                        }
                    }
                }
            }
        }
    }

    /// Crops `[n, h, w, c]` to the rectangle whose corner is at (`top`, `left`).
    package func cropped(top: Int, left: Int, height: Int, width: Int) -> Tensor {
        precondition(shape.count == 4, "\(shape)")
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        precondition(
            top >= 0 && left >= 0 && top + height <= h && left + width <= w,
            "crop \(top),\(left) \(height)×\(width) of \(shape)"
        )
        return Tensor(shape: [n, height, width, c]) { out in
            withFloats { x in
                for b in 0..<n {
                    for y in 0..<height {
                        let from = ((b * h + top + y) * w + left) * c
                        let to = (b * height + y) * width * c
                        for i in 0..<(width * c) { out[to + i] = x[from + i] }
                    }
                }
            }
        }
    }

    /// Pads every picture of `[n, h, w, c]` with copies of its outermost pixels.
    ///
    /// - Parameter margin: number of pixels on each side
    /// - Returns: `[n, h + 2 · margin, w + 2 · margin, c]`
    package func edgePadded(by margin: Int) -> Tensor {
        precondition(shape.count == 4 && margin >= 0, "\(shape)")
        guard margin > 0 else { return self }
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        let (height, width) = (h + 2 * margin, w + 2 * margin)
        return Tensor(shape: [n, height, width, c]) { out in
            withFloats { x in
                for b in 0..<n {
                    for y in 0..<height {
                        let row = (b * h + min(max(y - margin, 0), h - 1)) * w
                        for column in 0..<width {
                            let from = (row + min(max(column - margin, 0), w - 1)) * c
                            let to = ((b * height + y) * width + column) * c
                            for i in 0..<c { out[to + i] = x[from + i] }
                        }
                    }
                }
            }
        }
    }

    /// Zero-pads every picture of `[n, h, w, c]`.
    package func padded(top: Int, left: Int, bottom: Int, right: Int) -> Tensor {
        precondition(shape.count == 4 && min(top, left, bottom, right) >= 0, "\(shape)")
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
        let (height, width) = (h + top + bottom, w + left + right)
        return Tensor(shape: [n, height, width, c]) { out in
            out.update(repeating: 0)
            withFloats { x in
                for b in 0..<n {
                    for y in 0..<h {
                        let from = (b * h + y) * w * c
                        let to = ((b * height + top + y) * width + left) * c
                        for i in 0..<(w * c) { out[to + i] = x[from + i] }
                    }
                }
            }
        }
    }
}

extension Tensor {
    /// Concatenates tensors `[1, …]` of the same shape to `[n, …]`.
    package init(joining rows: [Tensor]) {
        precondition(
            !rows.isEmpty && rows.allSatisfy { $0.shape == rows[0].shape && $0.shape[0] == 1 },
            "\(rows.map(\.shape))"
        )
        self.init(chaining: rows, shape: [rows.count] + rows[0].shape.dropFirst())
    }

    /// Concatenates the elements of tensors and reshapes the result.
    package init(chaining parts: [Tensor], shape: [Int]) {
        self.init(shape: shape) { out in
            var at = 0
            for part in parts {
                part.withFloats { x in
                    let rest = UnsafeMutableBufferPointer(rebasing: out[at..<at + x.count])
                    _ = rest.update(fromContentsOf: x)
                    at += x.count
                }
            }
            precondition(at == out.count, "\(at) elements as \(shape)")
        }
    }

    /// A range of rows of `[n, …]`.
    func rows(_ range: Range<Int>) -> Tensor {
        let row = count / shape[0]
        return Tensor(shape: [range.count] + shape.dropFirst()) { out in
            withFloats { from in
                let part = UnsafeBufferPointer(
                    rebasing: from[range.lowerBound * row..<range.upperBound * row]
                )
                _ = out.update(fromContentsOf: part)
            }
        }
    }

    /// The rows of `[n, …]`, each `[1, …]`.
    package var rows: [Tensor] {
        let length = count / max(1, shape[0])
        return (0..<shape[0]).map { place in
            Tensor(shape: [1] + shape.dropFirst()) { out in
                withFloats { x in
                    for i in out.indices { out[i] = x[place * length + i] }
                }
            }
        }
    }
}

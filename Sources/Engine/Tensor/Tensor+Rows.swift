extension Tensor {
    /// Tensors `[1, …]` of one shape as one `[n, …]`.
    package init(joining rows: [Tensor]) {
        precondition(
            !rows.isEmpty && rows.allSatisfy { $0.shape == rows[0].shape && $0.shape[0] == 1 },
            "\(rows.map(\.shape))"
        )
        self.init(shape: [rows.count] + rows[0].shape.dropFirst()) { out in
            for (place, row) in rows.enumerated() {
                row.withFloats { x in
                    for i in x.indices { out[place * x.count + i] = x[i] }
                }
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

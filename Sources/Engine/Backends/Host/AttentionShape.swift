/// Shape of an attention operand: `[batch, rows, stride]`, of which a range of columns is used.
struct AttentionShape {
    let batch: Int
    let rows: Int
    /// Elements from one row to the next.
    let stride: Int

    private init(_ columns: Columns) {
        let shape = columns.activation.shape
        precondition(shape.count == 3, "\(shape)")
        (batch, rows, stride) = (shape[0], shape[1], shape[2])
    }

    /// The shapes of the operands of an attention; traps if they do not match.
    static func check(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int
    ) -> (AttentionShape, AttentionShape, AttentionShape) {
        let (q, k, v) = (Self(queries), Self(keys), Self(values))
        precondition(
            q.batch == k.batch && q.batch == v.batch && k.rows == v.rows
                && queries.count == keys.count && queries.count == values.count
                && queries.count % heads == 0,
            "\(queries) by \(keys) by \(values)"
        )
        return (q, k, v)
    }
}

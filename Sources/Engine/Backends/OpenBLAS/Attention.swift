import CKernels
import COpenBLAS

extension OpenBLASBackend {
    /// Query rows per block: few enough that their attention weights over all keys fit in 4 MiB.
    static func queryRows(keys: Int) -> Int {
        let fit = (1 << 20) / max(1, keys)
        return min(256, max(16, fit / 16 * 16))
    }

    package func attention(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int,
        causal: Bool
    ) -> Activation {
        let (q, k, v) = AttentionShape.check(queries, keys, values, heads: heads)
        let all = queries.count
        let width = all / heads
        let result = make([q.batch, q.rows, all])
        let out = floats(result)
        let step = Self.queryRows(keys: k.rows)
        let blocks = (q.rows + step - 1) / step
        let (qs, ks, vs) = (
            floats(queries.activation) + queries.from, floats(keys.activation) + keys.from,
            floats(values.activation) + values.from
        )
        let factor = 1 / Float(width).squareRoot()
        threads.run(q.batch * heads * blocks) { index, lane in
            let first = index % blocks * step
            let (head, picture) = (index / blocks % heads, index / blocks / heads)
            let count = min(step, q.rows - first)
            let column = head * width
            let weights = scratch(lane: lane, count * k.rows)
            let query = qs + (picture * q.rows + first) * q.stride + column
            let key = ks + picture * k.rows * k.stride + column
            let value = vs + picture * v.rows * v.stride + column
            cblas_sgemm(
                CblasRowMajor,
                CblasNoTrans,
                CblasTrans,
                blasint(count),
                blasint(k.rows),
                blasint(width),
                1,
                query,
                blasint(q.stride),
                key,
                blasint(k.stride),
                0,
                weights,
                blasint(k.rows)
            )
            tessera_softmax(weights, count, k.rows, factor, causal ? first : -1)
            cblas_sgemm(
                CblasRowMajor,
                CblasNoTrans,
                CblasNoTrans,
                blasint(count),
                blasint(width),
                blasint(k.rows),
                1,
                weights,
                blasint(k.rows),
                value,
                blasint(v.stride),
                0,
                out + (picture * q.rows + first) * all + column,
                blasint(all)
            )
        }
        return result
    }
}

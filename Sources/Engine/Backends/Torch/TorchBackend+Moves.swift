/// Operations that only move elements.
extension TorchBackend {
    package func concatChannels(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape.dropLast() == b.shape.dropLast(), "\(a.shape) and \(b.shape)")
        let width = a.shape[a.shape.count - 1] + b.shape[b.shape.count - 1]
        let y = call("aten::cat", [.tensors(rows(a), rows(b)), .int(1)])
        return activation(y, a.shape.dropLast() + [width])
    }

    package func upsampleNearest(_ x: Activation, height: Int, width: Int) -> Activation {
        precondition(x.shape.count == 4, "\(x.shape)")
        let (n, h, w, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        precondition(
            (height + 1) / 2 == h && (width + 1) / 2 == w,
            "\(x.shape) to \(height) × \(width)"
        )
        let doubled = empty([n, h, 2, w, 2, channels])
        copy(
            view(
                tensor(x),
                [n, h, 2, w, 2, channels],
                [h * w * channels, w * channels, 0, channels, 0, 1]
            ),
            to: doubled
        )
        let whole = activation(doubled, [n, 2 * h, 2 * w, channels])
        guard (height, width) != (2 * h, 2 * w) else { return whole }
        return pickRows(whole, rows: (0, 1, height), columns: (0, 1, width))
    }

    package func interleave(_ quarter: (Int) -> Activation) -> Activation {
        var whole: (activation: Activation, part: [Int])?
        for number in 0..<4 {
            let part = quarter(number)
            precondition(part.shape.count == 4, "\(part.shape)")
            let (n, height, width, channels) = (
                part.shape[0], part.shape[1], part.shape[2], part.shape[3]
            )
            let shape = [n, 2 * height, 2 * width, channels]
            let result = whole?.activation ?? activation(empty(shape), shape)
            precondition(part.shape == whole?.part ?? part.shape, "\(part.shape)")
            whole = (result, part.shape)
            let row = 2 * width * channels
            copy(
                view(tensor(part), part.shape),
                to: view(
                    tensor(result),
                    part.shape,
                    [2 * height * row, 2 * row, 2 * channels, 1],
                    offset: number / 2 * row + number % 2 * channels
                )
            )
        }
        guard let whole else { preconditionFailure("no quarters") }
        return whole.activation
    }

    package func pick(_ x: Activation, rows: [Int], columns: [Int]) -> Activation {
        precondition(
            x.shape.count == 4 && x.shape[0] == 1 && rows.allSatisfy { $0 < x.shape[1] }
                && columns.allSatisfy { $0 < x.shape[2] },
            "\(rows) × \(columns) of \(x.shape)"
        )
        if let rows = Self.progression(rows), let columns = Self.progression(columns) {
            return pickRows(x, rows: rows, columns: columns)
        }
        var y = view(tensor(x), x.shape)
        for (axis, places) in [(1, rows), (2, columns)] {
            let index = uploaded(places, [places.count])
            y = call("aten::index_select", [.tensor(y), .int(axis), .tensor(index)])
        }
        let shape = [1, rows.count, columns.count, x.shape[3]]
        return activation(y, shape, axes: [0, 1, 2, 3])
    }

    /// First value, step and count of an arithmetic progression; nil if `places` is not one.
    private static func progression(_ places: [Int]) -> (first: Int, step: Int, count: Int)? {
        guard let first = places.first else { return nil }
        let step = places.count > 1 ? places[1] - first : 1
        let isEven = places.indices.allSatisfy { places[$0] == first + $0 * step }
        return step > 0 && isEven ? (first, step, places.count) : nil
    }

    private func pickRows(
        _ x: Activation,
        rows: (first: Int, step: Int, count: Int),
        columns: (first: Int, step: Int, count: Int)
    ) -> Activation {
        let (n, channels) = (x.shape[0], x.shape[3])
        let row = x.shape[2] * channels
        let shape = [n, rows.count, columns.count, channels]
        let y = empty(shape)
        copy(
            view(
                tensor(x),
                shape,
                [x.shape[1] * row, rows.step * row, columns.step * channels, 1],
                offset: rows.first * row + columns.first * channels
            ),
            to: y
        )
        return activation(y, shape)
    }

    package func embed(_ ids: [[Int]], _ table: TableWeights) -> Activation {
        let all = Array(ids.joined())
        precondition(all.allSatisfy { (0..<table.rows).contains($0) }, "\(all) of \(table.rows)")
        let y = call(
            "aten::embedding",
            [
                .tensor(layer(table.storage).weight), .tensor(uploaded(all, [all.count])),
                .int(-1), .bool(false), .bool(false),
            ]
        )
        return activation(y, [ids.count, ids.first?.count ?? 0, table.width])
    }
}

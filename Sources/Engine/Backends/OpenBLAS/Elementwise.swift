import CKernels

extension OpenBLASBackend {
    /// Elements that one thread handles at once.
    private static let elementsPerBlock = 1 << 16

    package func activate(_ x: Activation, _ f: Nonlinearity) -> Activation {
        let from = pointer(x)
        return elementwise(x.shape) { out, first, count in
            tessera_activate(from + first, out + first, count, f.rawValue)
        }
    }

    package func add(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        let (x, y) = (pointer(a), pointer(b))
        return elementwise(a.shape) { out, first, count in
            tessera_add(x + first, y + first, out + first, count)
        }
    }

    private func elementwise(
        _ shape: [Int],
        _ body: (UnsafeMutablePointer<Float>, _ first: Int, _ count: Int) -> Void
    ) -> Activation {
        let (result, space) = make(shape)
        guard let out = space.baseAddress else { return result }
        let step = Self.elementsPerBlock
        threads.run((space.count + step - 1) / step) { block, _ in
            body(out, block * step, min(step, space.count - block * step))
        }
        return result
    }

    package func concatChannels(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape.dropLast() == b.shape.dropLast(), "\(a.shape) and \(b.shape)")
        let (left, right) = (a.shape[a.shape.count - 1], b.shape[b.shape.count - 1])
        let (result, space) = make(a.shape.dropLast() + [left + right])
        guard let out = space.baseAddress else { return result }
        let (x, y) = (pointer(a), pointer(b))
        let rows = space.count / (left + right)
        let step = Self.rowsPerBlock
        threads.run((rows + step - 1) / step) { block, _ in
            for row in block * step..<min(rows, (block + 1) * step) {
                let to = out + row * (left + right)
                to.update(from: x + row * left, count: left)
                (to + left).update(from: y + row * right, count: right)
            }
        }
        return result
    }

    package func upsampleNearest(_ x: Activation, height: Int, width: Int) -> Activation {
        precondition(x.shape.count == 4, "\(x.shape)")
        let (n, h, w, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        precondition(
            (height + 1) / 2 == h && (width + 1) / 2 == w,
            "\(x.shape) to \(height) × \(width)"
        )
        let (result, space) = make([n, height, width, channels])
        guard let out = space.baseAddress else { return result }
        let from = pointer(x)
        threads.run(n * height) { row, _ in
            let line = from + (row / height * h + row % height / 2) * w * channels
            let to = out + row * width * channels
            for column in 0..<width {
                (to + column * channels).update(from: line + column / 2 * channels, count: channels)
            }
        }
        return result
    }

    package func embed(_ ids: [[Int]], _ table: TableWeights) -> Activation {
        let tokens = ids.first?.count ?? 0
        let (result, space) = make([ids.count, tokens, table.width])
        guard let out = space.baseAddress else { return result }
        matrix(table.storage).withFloats { rows, _ in
            for (i, id) in ids.joined().enumerated() {
                precondition(id >= 0 && id < table.rows, "row \(id) of \(table.rows)")
                (out + i * table.width).update(from: rows + id * table.width, count: table.width)
            }
        }
        return result
    }
}

import CKernels

/// Elementwise operations, and operations that only move elements.
extension HostBackend {
    /// Elements per block of work.
    private static let elementsPerBlock = 1 << 16

    package func activate(_ x: Activation, _ f: Nonlinearity) -> Activation {
        let result = make(x.shape)
        let (from, out) = (pointer(x), pointer(result))
        forEachChunk(of: x) { first, count in
            let at = first * element.size
            tessera_activate(from + at, out + at, count, f.rawValue, element.rawValue)
        }
        return result
    }

    package func add(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        let result = make(a.shape)
        let (x, y, out) = (pointer(a), pointer(b), pointer(result))
        forEachChunk(of: a) { first, count in
            let at = first * element.size
            tessera_add(x + at, y + at, out + at, count, element.rawValue)
        }
        return result
    }

    private func forEachChunk(of x: Activation, _ body: (_ first: Int, _ count: Int) -> Void) {
        let (count, step) = (x.shape.reduce(1, *), Self.elementsPerBlock)
        threads.run((count + step - 1) / step) { block, _ in
            body(block * step, min(step, count - block * step))
        }
    }

    package func concatChannels(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape.dropLast() == b.shape.dropLast(), "\(a.shape) and \(b.shape)")
        let channels = (a.shape[a.shape.count - 1], b.shape[b.shape.count - 1])
        let (left, right) = (channels.0 * element.size, channels.1 * element.size)
        let result = make(a.shape.dropLast() + [channels.0 + channels.1])
        let (x, y, out) = (pointer(a), pointer(b), pointer(result))
        let rows = a.shape.dropLast().reduce(1, *)
        let step = Self.rowsPerBlock
        threads.run((rows + step - 1) / step) { block, _ in
            for row in block * step..<min(rows, (block + 1) * step) {
                let to = out + row * (left + right)
                to.copyMemory(from: x + row * left, byteCount: left)
                (to + left).copyMemory(from: y + row * right, byteCount: right)
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
        let result = make([n, height, width, channels])
        let (from, out, pixel) = (pointer(x), pointer(result), channels * element.size)
        threads.run(n * height) { row, _ in
            let line = from + (row / height * h + row % height / 2) * w * pixel
            let to = out + row * width * pixel
            for column in 0..<width {
                (to + column * pixel).copyMemory(from: line + column / 2 * pixel, byteCount: pixel)
            }
        }
        return result
    }

    package func interleave(_ quarter: (Int) -> Activation) -> Activation {
        var whole: Activation?
        for number in 0..<4 {
            let part = quarter(number)
            precondition(part.shape.count == 4, "\(part.shape)")
            let (n, height, width) = (part.shape[0], part.shape[1], part.shape[2])
            let result = whole ?? make([n, 2 * height, 2 * width, part.shape[3]])
            precondition(result.shape[1...] == [2 * height, 2 * width, part.shape[3]])
            whole = result
            let (from, out, pixel) = (pointer(part), pointer(result), part.shape[3] * element.size)
            threads.run(n * height) { row, _ in
                let line = from + row * width * pixel
                let to = out + ((2 * row + number / 2) * 2 * width + number % 2) * pixel
                for column in 0..<width {
                    (to + 2 * column * pixel)
                        .copyMemory(from: line + column * pixel, byteCount: pixel)
                }
            }
        }
        guard let whole else { preconditionFailure("no quarters") }
        return whole
    }

    package func embed(_ ids: [[Int]], _ table: TableWeights) -> Activation {
        let result = make([ids.count, ids.first?.count ?? 0, table.width])
        let (out, row) = (pointer(result), table.width * element.size)
        matrix(table.storage).withFloats { rows, _ in
            for (i, id) in ids.joined().enumerated() {
                precondition(id >= 0 && id < table.rows, "row \(id) of \(table.rows)")
                tessera_from_float(
                    rows + id * table.width,
                    out + i * row,
                    table.width,
                    element.rawValue
                )
            }
        }
        return result
    }
}

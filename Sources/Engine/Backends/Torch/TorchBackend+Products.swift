/// Matrix products, convolutions, attention and elementwise functions.
extension TorchBackend {
    package func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        with second: Operand?
    ) -> Activation {
        let shape = x.shape.dropLast() + [weights.outputs]
        precondition(x.shape.last == weights.inputs, "\(x.shape) by \(weights)")
        second?.check(shape: Array(shape))
        var y = product(x, weights)
        apply(f, inPlace: &y)
        switch second {
        case .plus(let other): y = sum(y, rows(other))
        case .times(let other):
            y = call("aten::mul_", "Tensor", [.tensor(y), .tensor(rows(other))])
        case nil: break
        }
        return activation(y, Array(shape))
    }

    /// `[rows, outputs]`, dense.
    private func product(_ x: Activation, _ weights: LinearWeights) -> TorchTensor {
        let layer = layer(weights.storage)
        return call(
            "aten::linear",
            [.tensor(rows(x)), .tensor(layer.weight), .optional(layer.bias)]
        )
    }

    /// All outputs: a gated layer is a single panel here.
    package func panelOfGates(outputs: Int) -> Int { outputs }

    package func gated(_ x: Activation, _ panels: [GatedWeights]) -> Activation {
        precondition(panels.count == 1, "\(panels.count) panels")
        var gates = product(x, panels[0].gate)
        apply(.gelu, inPlace: &gates)
        let values = product(x, panels[0].value)
        let y = call("aten::mul_", "Tensor", [.tensor(values), .tensor(gates)])
        return activation(y, x.shape.dropLast() + [panels[0].outputs])
    }

    package func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        padding: Padding,
        residual: Activation?
    ) -> Activation {
        let shape = weights.result(of: x.shape, padding: padding)
        residual.map { precondition($0.shape == shape, "\($0.shape) vs \(shape)") }
        var pictures = pictures(x)
        var around = [padding.top, padding.left]
        if padding.top != padding.bottom || padding.left != padding.right {
            pictures = padded(
                pictures,
                [padding.left, padding.right, padding.top, padding.bottom]
            )
            around = [0, 0]
        }
        let layer = layer(weights.storage)
        let y = call(
            "aten::conv2d",
            [
                .tensor(pictures), .tensor(layer.weight), .optional(layer.bias),
                .ints([weights.stride, weights.stride]), .ints(around), .ints([1, 1]), .int(1),
            ]
        )
        let result = activation(y, shape, axes: [0, 2, 3, 1])
        guard let residual else { return result }
        return add(result, residual)
    }

    package func attention(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int,
        causal: Bool
    ) -> Activation {
        precondition(
            queries.count % heads == 0 && keys.count == queries.count
                && values.count == queries.count,
            "\(queries.count), \(keys.count) and \(values.count) columns for \(heads) heads"
        )
        let (n, width) = (queries.activation.shape[0], queries.count / heads)
        let tokens = queries.activation.shape[1]
        /// A view `[n, heads, tokens, width]` of columns, without copying.
        func split(_ columns: Columns) -> TorchArgument {
            let shape = columns.activation.shape
            precondition(shape.count == 3 && shape[0] == n, "\(shape)")
            return .tensor(
                view(
                    tensor(columns.activation),
                    [n, heads, shape[1], width],
                    [shape[1] * shape[2], width, shape[2], 1],
                    offset: columns.from
                )
            )
        }
        let y = call(
            "aten::scaled_dot_product_attention",
            [
                split(queries), split(keys), split(values), .none, .double(0), .bool(causal), .none,
                .bool(false),
            ]
        )
        return activation(
            y,
            [n, tokens, heads, width],
            axes: [0, 2, 1, 3],
            shape: [n, tokens, heads * width]
        )
    }

    package func activate(_ x: Activation, _ f: Nonlinearity) -> Activation {
        let input = rows(x)
        switch f {
        case .identity: return x
        case .silu: return activation(call("aten::silu", [.tensor(input)]), x.shape)
        case .gelu:
            return activation(call("aten::gelu", [.tensor(input), .text("none")]), x.shape)
        case .quickGelu: return activation(quickGelu(input), x.shape)
        }
    }

    /// Applies `f` in place; nothing else may use the tensor.
    func apply(_ f: Nonlinearity, inPlace x: inout TorchTensor) {
        switch f {
        case .identity: break
        case .silu: x = call("aten::silu_", [.tensor(x)])
        case .gelu: x = call("aten::gelu_", [.tensor(x), .text("none")])
        case .quickGelu: x = quickGelu(x)
        }
    }

    private func quickGelu(_ x: TorchTensor) -> TorchTensor {
        let factor = view(uploaded(Tensor([1.702], shape: [1])), [])
        let scaled = call("aten::mul", "Tensor", [.tensor(x), .tensor(factor)])
        let share = call("aten::sigmoid_", [.tensor(scaled)])
        return call("aten::mul_", "Tensor", [.tensor(share), .tensor(x)])
    }

    package func add(_ a: Activation, _ b: Activation) -> Activation {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        return activation(sum(rows(a), rows(b)), a.shape)
    }
}

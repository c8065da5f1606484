/// Adjacent outputs of a gated layer: the weights of their values and of their gates.
package struct GatedWeights {
    let value: LinearWeights
    let gate: LinearWeights

    package var outputs: Int { value.outputs }
}

extension Backend {
    /// Stores a gated layer in the panels that `gated` expects: weights `[2 · outputs, inputs]`, the rows of the values
    /// before those of the gates, and its bias.
    ///
    /// - Throws: whatever `read` throws, and errors of files that hold prepared weights
    package func prepareGated(
        inputs: Int,
        outputs: Int,
        _ read: () throws -> Parameters
    ) throws -> [GatedWeights] {
        var whole: Parameters?
        func rows(_ range: Range<Int>) throws -> LinearWeights {
            try prepareLinear(inputs: inputs, outputs: range.count, hasBias: true) {
                let all = try whole ?? read()
                whole = all
                return all.rows(range)
            }
        }
        let width = panelOfGates(outputs: outputs)
        return try stride(from: 0, to: outputs, by: width).map { first in
            let end = min(outputs, first + width)
            return GatedWeights(
                value: try rows(first..<end),
                gate: try rows(outputs + first..<outputs + end)
            )
        }
    }
}

/// The outputs of an operation, split into panels that are computed one after another, so that a panel's weights,
/// widened to float32, stay in the L2 cache.
struct Panels: Hashable {
    /// Maximum bytes of a panel's widened weights, unless the panel has the minimum number of outputs.
    private static let room = 3 << 19
    private static let minWidth = 32
    private static let maxWidth = 512

    let outputs: Int
    /// Outputs of each panel except the last.
    let width: Int

    /// - Parameters:
    ///   - outputs: outputs of the operation
    ///   - depth: terms in the sum of each output
    init(outputs: Int, depth: Int) {
        var width = Self.maxWidth
        while width > Self.minWidth, width * depth * 4 > Self.room { width /= 2 }
        self.outputs = outputs
        self.width = min(width, outputs)
    }

    /// Number of full-width panels.
    var whole: Int { outputs / width }
    /// Outputs of a narrower last panel; 0 if the width divides the outputs.
    var rest: Int { outputs % width }

    /// First output and number of outputs of each panel.
    var all: [(first: Int, count: Int)] {
        (0..<whole).map { ($0 * width, width) } + (rest > 0 ? [(whole * width, rest)] : [])
    }
}

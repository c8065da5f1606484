/// The outputs of an operation, cut into panels that are computed one after the other, so that a panel's
/// weights, widened to float32, stay in the L2 cache.
struct Panels: Hashable {
    /// Maximum bytes of a panel's widened weights, unless the panel has the minimum number of outputs.
    private static let room = 3 << 19
    private static let minWidth = 32
    private static let maxWidth = 512

    let outputs: Int
    /// Outputs of each panel but the last.
    let width: Int

    /// - Parameters:
    ///   - outputs: of the operation
    ///   - depth: terms of the sum behind each of them
    init(outputs: Int, depth: Int) {
        var width = Self.maxWidth
        while width > Self.minWidth, width * depth * 4 > Self.room { width /= 2 }
        self.outputs = outputs
        self.width = min(width, outputs)
    }

    /// Number of panels of full width.
    var whole: Int { outputs / width }
    /// Outputs of the last one where the width does not divide them, else 0.
    var rest: Int { outputs % width }

    /// First output and number of outputs of each panel.
    var all: [(first: Int, count: Int)] {
        (0..<whole).map { ($0 * width, width) } + (rest > 0 ? [(whole * width, rest)] : [])
    }
}

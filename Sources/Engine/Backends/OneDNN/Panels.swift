/// The outputs of an operation in panels that are computed one after the other, so that a panel's
/// weights, widened to float32, stay in the second-level cache.
struct Panels: Hashable {
    /// Bytes of a panel's widened weights, at most, unless it is of the fewest outputs.
    private static let room = 3 << 19
    private static let fewest = 32
    private static let most = 512

    let outputs: Int
    /// Outputs of each panel but the last.
    let width: Int

    /// - Parameters:
    ///   - outputs: of the operation
    ///   - depth: numbers that each of them is a sum of
    init(outputs: Int, depth: Int) {
        var width = Self.most
        while width > Self.fewest, width * depth * 4 > Self.room { width /= 2 }
        self.outputs = outputs
        self.width = min(width, outputs)
    }

    /// How many have the full width.
    var whole: Int { outputs / width }
    /// Outputs of the last one where the width does not divide them, else 0.
    var rest: Int { outputs % width }

    /// First output and number of outputs of each panel.
    var all: [(first: Int, count: Int)] {
        (0..<whole).map { ($0 * width, width) } + (rest > 0 ? [(whole * width, rest)] : [])
    }
}

/// The number of transformer blocks in each attention layer. In distilled models it varies within a resolution.
struct BlockDepths {
    /// Depths by level and layer; an empty list for a level without attention.
    var down: [[Int]] = []
    var up: [[Int]] = []
    let middle: Int

    private static let key = "transformer_layers_per_block"
    private static let reverseKey = "reverse_transformer_layers_per_block"

    /// - Parameters:
    ///   - config: the UNet's configuration
    ///   - layers: residual blocks of each level
    ///   - down: whether each level has attention on the down path
    ///   - up: the same for the up path, in its order
    /// - Throws: `InputError` naming the field whose value does not fit
    init(_ config: inout ConfigReader, layers: [Int], down: [Bool], up: [Bool]) throws(InputError) {
        let count = layers.count
        func read(_ key: String) throws(InputError) -> [ConfigReader.Depths]? {
            let found = try config.depths(key, in: ConfigRange.depth, maxCount: ConfigRange.levels)
            guard let found, found.count != count else { return found }
            guard found.count == 1, case .all = found[0] else {
                throw config.fault(
                    key,
                    "has \(found.count) entries for \(count) blocks",
                    fix: "Give one number, or one for each of block_out_channels"
                )
            }
            return Array(repeating: found[0], count: count)
        }
        func layered(
            _ key: String,
            _ depths: ConfigReader.Depths,
            _ count: Int
        ) throws(InputError) -> [Int] {
            let all: [Int]
            switch depths {
            case .all(let depth): all = Array(repeating: depth, count: count)
            case .each(let depths): all = depths
            }
            guard all.count == count, all.allSatisfy({ $0 > 0 }) else {
                throw config.fault(
                    key,
                    "\(all) does not fit the \(count) attention layers of a block",
                    fix: "Compare with the model's original file"
                )
            }
            return all
        }
        if config.isNull(Self.key) {
            throw config.fault(
                Self.key,
                "it is null, and must be a number or a list",
                fix: "Compare with the model's original file"
            )
        }
        let own = try read(Self.key) ?? Array(repeating: .all(1), count: count)
        for i in 0..<count {
            self.down.append(down[i] ? try layered(Self.key, own[i], layers[i]) : [])
        }
        // In the order of the up path, starting with the coarsest level.
        let reverse = try read(Self.reverseKey)
        for i in 0..<count {
            let at = count - 1 - i
            guard up[at] else {
                self.up.append([])
                continue
            }
            if reverse == nil, case .each = own[i] {
                throw config.fault(
                    Self.reverseKey,
                    "it is missing, and \(Self.key) has lists",
                    fix: "Use the model's original file"
                )
            }
            let key = reverse == nil ? Self.key : Self.reverseKey
            self.up.append(try layered(key, reverse?[at] ?? own[i], layers[i] + 1))
        }
        switch own[count - 1] {
        case .all(let depth): middle = depth
        case .each(let depths): middle = depths[0]
        }
    }
}

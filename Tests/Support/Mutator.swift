/// Damages files and frames, the same way for the same seed.
package struct Mutator {
    private var random: SplitMix

    package init(seed: UInt64) {
        random = SplitMix(seed)
    }

    /// The next 64 random bits.
    package mutating func next() -> UInt64 { random.next() }

    /// A random integer from 0 to `bound` - 1.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

    /// Makes one to four changes: flips a bit, sets a byte, removes, repeats or overwrites a range, or cuts off the
    /// end.
    package mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(4) where !bytes.isEmpty {
            let at = below(bytes.count)
            let end = min(bytes.count, at + 1 + below(16))
            switch below(6) {
            case 0: bytes[at] ^= 1 << UInt8(below(8))
            case 1: bytes[at] = [0, 0xFF, 0x7F, 0x80, 0x22, 0x7B][below(6)]
            case 2: bytes.removeSubrange(at..<end)
            case 3: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 4: for i in at..<end { bytes[i] = UInt8(truncatingIfNeeded: next()) }
            default: bytes.removeSubrange(at...)
            }
        }
        return bytes
    }
}

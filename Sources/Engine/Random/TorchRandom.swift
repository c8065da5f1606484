import Foundation

/// The random numbers of PyTorch's CPU generator.
package enum TorchRandom {
    /// What `torch.manual_seed(seed); torch.randn(count)` returns on a CPU with AVX2: bit-identical for 16 numbers or
    /// more; for fewer, identical up to the last bits of the C library's functions.
    ///
    /// For 16 numbers or more, PyTorch fills blocks of 16 with the Box–Muller method in float32, and redraws the last
    /// block if the count is not a multiple of 16; for fewer it draws pairs in double precision.
    package static func normal(seed: UInt64, count: Int) -> [Float] {
        var generator = MersenneTwister(seed: seed)
        return count < 16 ? pairs(&generator, count) : blocks(&generator, count)
    }

    private static func blocks(_ generator: inout MersenneTwister, _ count: Int) -> [Float] {
        var values = (0..<count).map { _ in uniform(&generator) }
        for block in 0..<(count / 16) { boxMuller(&values, at: 16 * block) }
        if count % 16 != 0 {
            for i in (count - 16)..<count { values[i] = uniform(&generator) }
            boxMuller(&values, at: count - 16)
        }
        return values
    }

    /// A random number in [0, 1) with 24 random bits.
    private static func uniform(_ generator: inout MersenneTwister) -> Float {
        Float(generator.next() & 0xFF_FFFF) * 0x1p-24
    }

    /// 2π rounded to nearest; `2 * Float.pi` is rounded down.
    private static let fullTurn = Float(2 * Double.pi)

    private static func boxMuller(_ values: inout [Float], at start: Int) {
        for i in start..<(start + 8) {
            let radius = (-2 * SingleMath.log(1 - values[i])).squareRoot()
            let (sine, cosine) = SingleMath.sineAndCosine(fullTurn * values[i + 8])
            values[i] = radius * cosine
            values[i + 8] = radius * sine
        }
    }

    private static func pairs(_ generator: inout MersenneTwister, _ count: Int) -> [Float] {
        func uniform() -> Double {
            let high = UInt64(generator.next())
            let bits = high << 32 | UInt64(generator.next())
            return Double(bits & 0x1F_FFFF_FFFF_FFFF) * 0x1p-53
        }
        var values: [Float] = []
        while values.count < count {
            let angle = 2 * Double.pi * uniform()
            let radius = (-2 * log1p(-uniform())).squareRoot()
            values.append(Float(radius * cos(angle)))
            values.append(Float(radius * sin(angle)))
        }
        return Array(values.prefix(count))
    }
}

import Foundation

/// Philox 4×32-10 (Salmon et al., 2011): random numbers as a pure function of key and counter.
package enum Philox {
    /// Four random words.
    package static func words(
        counter: SIMD4<UInt32>,
        key: SIMD2<UInt32>
    ) -> SIMD4<UInt32> {
        var (x, k) = (counter, key)
        for _ in 0..<10 {
            let a = UInt64(x[0]) * 0xD251_1F53
            let b = UInt64(x[2]) * 0xCD9E_8D57
            x = [
                UInt32(truncatingIfNeeded: b >> 32) ^ x[1] ^ k[0], UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ x[3] ^ k[1], UInt32(truncatingIfNeeded: a),
            ]
            k &+= [0x9E37_79B9, 0xBB67_AE85]
        }
        return x
    }

    /// Normal random numbers as drawn by CUDA builds of PyTorch when every element has its own thread: element i is the
    /// first of the four numbers that the counter (offset, 0, i, 0) gives.
    package static func normal(seed: UInt64, offset: UInt32 = 0, count: Int) -> [Float] {
        let key = keyWords(seed)
        // 2π rounded to nearest; `2 * Float.pi` is rounded down.
        let fullTurn = Float(2 * Double.pi)
        return (0..<count).map { i in
            let x = words(counter: [offset, 0, UInt32(truncatingIfNeeded: i), 0], key: key)
            let u = Float(x[0]) * 0x1p-32 + 0x1p-33
            let v = Float(x[1]) * (0x1p-32 * fullTurn) + 0x1p-33 * fullTurn
            return (-2 * log(u)).squareRoot() * sin(v)
        }
    }

    static func keyWords(_ seed: UInt64) -> SIMD2<UInt32> {
        [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
    }
}

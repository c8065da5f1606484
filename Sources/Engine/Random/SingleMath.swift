/// Logarithm, sine and cosine in single precision with the polynomials of the Cephes library (Moshier, 1992). Products
/// and sums are rounded once where PyTorch's AVX2 code fuses them, so the bits are the same on every machine.
enum SingleMath {
    private static let logTerms: [Float] = [
        -1.151_461_031_0e-1, 1.167_699_874_0e-1, -1.242_014_084_6e-1, 1.424_932_278_7e-1,
        -1.666_805_766_5e-1, 2.000_071_476_5e-1, -2.499_999_399_3e-1, 3.333_333_117_4e-1,
    ]

    /// Natural logarithm of a normal number in (0, 1].
    static func log(_ x: Float) -> Float {
        // x = (1 + y) · 2^e with 1 + y between √½ and √2.
        var e = Float(x.exponent) + 1
        var y = x.significand / 2
        if y < Float(0.5).squareRoot() {
            e -= 1
            y = (y - 1) + y
        } else {
            y -= 1
        }
        let z = y * y
        var p: Float = 7.037_683_629_2e-2
        for term in logTerms { p = term.addingProduct(p, y) }
        p = (e * -2.121_944_40e-4).addingProduct(p * y, z)
        p.addProduct(-z, 0.5)
        return (y + p).addingProduct(e, 0.693_359_375)
    }

    /// Sine and cosine of an angle in [0, 2π].
    static func sineAndCosine(_ angle: Float) -> (sine: Float, cosine: Float) {
        // Subtracts the nearest even multiple of π/4 in three parts (Cody–Waite).
        let octant = (Int32(angle * 1.273_239_544_735_16) + 1) & ~1
        let multiple = Float(octant)
        var x = angle.addingProduct(multiple, -0.785_156_25)
        x.addProduct(multiple, -2.418_756_484_985_351_562_5e-4)
        x.addProduct(multiple, -3.774_894_977_445_941_08e-8)
        let z = x * x
        var c: Float = 2.443_315_711_809_948e-5
        c = (-1.388_731_625_493_765e-3 as Float).addingProduct(c, z)
        c = (4.166_664_568_298_827e-2 as Float).addingProduct(c, z)
        c = (-(z * 0.5)).addingProduct(c * z, z) + 1
        var s: Float = -1.951_529_589_1e-4
        s = (8.332_160_873_6e-3 as Float).addingProduct(s, z)
        s = (-1.666_665_461_1e-1 as Float).addingProduct(s, z)
        s = x.addingProduct(s * z, x)
        switch octant / 2 % 4 {
        case 0: return (s, c)
        case 1: return (c, -s)
        case 2: return (-s, -c)
        default: return (-c, s)
        }
    }
}

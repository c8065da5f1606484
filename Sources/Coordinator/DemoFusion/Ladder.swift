import Engine

/// One rung of the ladder: the whole latent at one scale.
package struct Phase: Equatable, Sendable {
    /// Side of this phase over side of phase 1.
    package let scale: Double
    /// Size of the latent, in latent pixels.
    package let latent: Extent

    /// Distance between neighbouring samples of a dilated sub-lattice.
    package var dilation: Int { Int(scale.rounded(.up)) }
}

/// Scales at which a picture is rendered, from 1 to the target (DemoFusion §3.2, "progressive
/// upscaling").
package struct Ladder: Equatable, Sendable {
    package let scales: [Double]

    /// Scales given by hand, such as 1, 2, 4; the last one is the target.
    package init(scales: [Double]) throws(InputError) {
        guard let first = scales.first, first == 1 else {
            throw InputError("--ladder", "a ladder begins at 1", fix: "Write it as 1,2,4")
        }
        guard scales.allSatisfy(\.isFinite), scales.count <= 64,
            Swift.zip(scales, scales.dropFirst()).allSatisfy({ $0 < $1 && $1 <= 256 })
        else {
            throw InputError(
                "--ladder",
                "its scales must rise and stay at or below 256",
                fix: "Write it as 1,2,4"
            )
        }
        self.scales = scales
    }

    /// Every whole scale from 1 up to the ratio of the target's long side to the native side, and
    /// that ratio itself when it is not whole.
    package init(target: Extent, nativeSide: Int) {
        let ratio = max(1, Double(target.longSide) / Double(nativeSide))
        var scales = (1...Int(ratio)).map(Double.init)
        if ratio > Double(Int(ratio)) { scales.append(ratio) }
        self.scales = scales
    }

    /// Latent sizes of all phases: floor(target side · s / S / VAE factor), the last one exactly the
    /// target.
    ///
    /// - Parameters:
    ///   - target: size of the picture in pixels, multiples of `vaeFactor`
    ///   - vaeFactor: pixels per latent pixel along a side
    /// - Returns: one phase per scale, in rising order
    /// - Throws: `InputError` when a phase would have no rows or columns
    package func phases(target: Extent, vaeFactor: Int) throws(InputError) -> [Phase] {
        let top = scales[scales.count - 1]
        var phases: [Phase] = []
        for scale in scales {
            // A hair above the quotient, so that 1.0/3·3 counts as whole.
            func side(_ pixels: Int) -> Int {
                scale == top
                    ? pixels / vaeFactor
                    : Int(Double(pixels) * scale / top / Double(vaeFactor) + 1e-9)
            }
            let latent = Extent(height: side(target.height), width: side(target.width))
            guard latent.height > 0, latent.width > 0 else {
                throw InputError(
                    "--size",
                    "\(target) leaves nothing of its short side at scale \(scale)",
                    fix: "Choose a less extreme shape or a shorter --ladder"
                )
            }
            phases.append(Phase(scale: scale, latent: latent))
        }
        return phases
    }
}

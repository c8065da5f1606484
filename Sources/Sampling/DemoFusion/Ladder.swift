import Engine
import Foundation

/// One rung of the ladder: the whole latent at one scale.
package struct Phase: Equatable, Sendable {
    /// Ratio of this phase's side to phase 1's.
    package let scale: Double
    /// Size of the latent, in latent pixels.
    package let latent: Extent

    /// Distance between neighbouring samples of a dilated sub-lattice: the scale, rounded up, so that sub-lattices are
    /// never larger than phase 1, except by one row or column where phase 1 was rounded down. Models work best at the
    /// size that they were trained on, and worse above it.
    package var dilation: Int { Int(scale.rounded(.up)) }
}

/// How the scales of the phases are chosen; `--ladder`.
package enum LadderChoice: Equatable, Sendable {
    /// Every integer scale up to the target, as in the paper; with refinement, steps of at most a factor of 2.
    case everyScale
    /// The fewest UNet evaluations within the method's limits.
    case cheapest
    case given(Ladder)
}

/// The scales at which a picture is rendered, from 1 to the target (DemoFusion §3.2, "progressive
/// upscaling").
package struct Ladder: Equatable, Sendable {
    package let scales: [Double]

    /// Largest ratio between the sides of consecutive phases, for ladders that we choose: the largest step in the
    /// method itself, from scale 1 to 2. With a larger one the upsampled latent lacks whole octaves, which the skip
    /// residual and the sub-lattices would have to make up for.
    package static let largestStep = 2.0

    /// Minimum short side of phase 1, as a fraction of the native side: a quarter. Up to 4:1 the long side of phase 1
    /// is the native side, as in the method. Phase 1 of a more elongated picture is longer, because no composition fits
    /// into a few rows of latent pixels.
    package static let maxAspectRatio = 4

    /// Explicitly given scales, such as 1, 2, 4; the last one is the target.
    package init(scales: [Double]) throws(InputError) {
        guard let first = scales.first, first == 1 else {
            throw InputError("--ladder", "a ladder must start at 1", fix: "Write it as 1,2,4")
        }
        guard scales.allSatisfy(\.isFinite), scales.count <= 64,
            Swift.zip(scales, scales.dropFirst()).allSatisfy({ $0 < $1 && $1 <= 256 })
        else {
            throw InputError(
                "--ladder",
                "its scales must increase and be at most 256",
                fix: "Write it as 1,2,4"
            )
        }
        self.scales = scales
    }

    /// The scales of the given phases, which need not begin at 1 if there is an init image.
    init(of phases: [Phase]) { scales = phases.map(\.scale) }

    /// Every integer scale from 1 up to the target's, and the target's itself if it is not an integer.
    package init(target: Extent, nativeSide: Int) {
        let ratio = Self.ratio(of: target, nativeSide: nativeSide)
        var scales = (1...Int(ratio)).map(Double.init)
        if ratio > Double(Int(ratio)) { scales.append(ratio) }
        self.scales = scales
    }

    /// The cheapest ladder within the method's limits: it begins at native size and ends at the target, no step is
    /// larger than `largestStep`, and every scale but the last is an integer, so that all sub-lattices of a phase have
    /// the same size.
    ///
    /// - Parameters:
    ///   - target: size of the picture, in pixels
    ///   - nativeSide: native side of the model's pictures, in pixels
    ///   - cost: the cost of a phase at a scale; must be positive
    /// - Throws: whatever `cost` throws
    package init<E: Error>(
        cheapestTo target: Extent,
        nativeSide: Int,
        cost: (Double) throws(E) -> Int
    ) throws(E) {
        let rungs = Ladder(target: target, nativeSide: nativeSide).scales
        // Per rung: the cost of the cheapest path to it, and the previous rung on that path.
        var ways = [(cost: 0, from: 0)]
        for (i, scale) in rungs.enumerated().dropFirst() {
            let from =
                ways.indices.filter { rungs[$0] * Self.largestStep >= scale }
                .min { ways[$0].cost < ways[$1].cost } ?? i - 1
            ways.append((ways[from].cost + (try cost(scale)), from))
        }
        var (scales, at) = ([rungs[rungs.count - 1]], rungs.count - 1)
        while at > 0 {
            at = ways[at].from
            scales.insert(rungs[at], at: 0)
        }
        self.scales = scales
    }

    /// The fewest scales with equal ratios of at most `largestStep`: powers of two if the target is one.
    package init(steadilyTo target: Extent, nativeSide: Int) {
        let ratio = Self.ratio(of: target, nativeSide: nativeSide)
        let count = Int((log2(ratio) / log2(Self.largestStep) - 1e-9).rounded(.up))
        let between = (1..<max(1, count)).map { rung in
            let scale = pow(ratio, Double(rung) / Double(count))
            return abs(scale - scale.rounded()) < 1e-9 ? scale.rounded() : scale
        }
        scales = [1] + between + (count > 0 ? [ratio] : [])
    }

    /// Scale of the target: its long side over the native side, or less if that would leave the short side of phase 1
    /// below the native side divided by `maxAspectRatio`.
    private static func ratio(of target: Extent, nativeSide: Int) -> Double {
        let long = min(target.longSide, maxAspectRatio * target.shortSide)
        return max(1, Double(long) / Double(nativeSide))
    }

    /// Latent sizes of all phases: floor(target side · s / S / VAE factor), the last one exactly the
    /// target.
    ///
    /// - target: size of the picture in pixels, a multiple of `vaeFactor` along each side
    ///   - target: size of the picture in pixels, multiples of `vaeFactor`
    ///   - vaeFactor: pixels per latent pixel along a side
    /// - Returns: one phase per scale, in ascending order
    /// - Throws: `InputError` if a phase would have no rows or columns
    package func phases(target: Extent, vaeFactor: Int) throws(InputError) -> [Phase] {
        let top = scales[scales.count - 1]
        var phases: [Phase] = []
        for scale in scales {
            phases.append(
                try Phase(scale: scale, of: top, target: target, vaeFactor: vaeFactor)
            )
        }
        return phases
    }
}

extension Phase {
    /// - Parameters:
    ///   - scale: scale of this phase
    ///   - top: scale of the last phase
    ///   - target: size of the picture in pixels
    ///   - vaeFactor: pixels per latent pixel along a side
    /// - Throws: `InputError` if the phase would have no rows or columns
    init(scale: Double, of top: Double, target: Extent, vaeFactor: Int) throws(InputError) {
        // Slightly above the quotient, so that 1.0/3·3 counts as an integer.
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
        self.init(scale: scale, latent: latent)
    }
}

import Foundation

/// The training schedule: ᾱ at every training timestep, and σ = √((1−ᾱ)/ᾱ).
///
/// Rounded to float32 where PyTorch rounds, so that timesteps derived from it are the same.
struct NoiseSchedule: Equatable, Sendable {
    /// ᾱ at every training timestep, float32.
    let alphasCumprod: [Float]
    /// ᾱ divided by its last value, for samplers that work with σ: with zero terminal SNR, σ would be infinite.
    let finiteAlphasCumprod: [Float]

    /// The schedule of Stable Diffusion 1, 2 and XL.
    static let stableDiffusion = NoiseSchedule(
        .scaledLinear(0.00085, 0.012),
        count: 1000,
        rescalesToZeroSNR: false
    )

    init(_ config: SchedulerConfig) {
        self.init(
            config.betas,
            count: config.trainTimesteps,
            rescalesToZeroSNR: config.rescalesToZeroSNR
        )
    }

    private init(_ given: SchedulerConfig.Betas, count: Int, rescalesToZeroSNR: Bool) {
        var betas: [Float]
        switch given {
        case .linear(let start, let end):
            betas = Self.linspace(Float(start), Float(end), count)
        case .scaledLinear(let start, let end):
            let roots = Self.linspace(Float(start.squareRoot()), Float(end.squareRoot()), count)
            betas = roots.map { $0 * $0 }
        case .trained(let values):
            betas = values
        }
        if rescalesToZeroSNR { betas = Self.rescaled(betas) }
        alphasCumprod = Self.cumulativeProduct(betas.map { 1 - $0 })
        var finite = alphasCumprod
        if rescalesToZeroSNR {
            finite[count - 1] = Float(sign: .plus, exponent: -24, significand: 1)
        }
        finiteAlphasCumprod = finite
    }

    /// σ of every training timestep, float32.
    var sigmas: [Float] {
        finiteAlphasCumprod.map { ((1 - $0) / $0).squareRoot() }
    }

    /// Computed from both ends towards the middle, as in PyTorch.
    private static func linspace(_ start: Float, _ end: Float, _ count: Int) -> [Float] {
        guard count > 1 else { return [start] }
        let step = (end - start) / Float(count - 1)
        return (0..<count).map { i in
            i < count / 2
                ? start.addingProduct(step, Float(i))
                : end.addingProduct(-step, Float(count - 1 - i))
        }
    }

    private static func cumulativeProduct(_ values: [Float]) -> [Float] {
        var product = 1.0
        return values.map { value in
            product *= Double(value)
            return Float(product)
        }
    }

    /// Shifts and scales √ᾱ so that it ends at zero and its first value is unchanged (Lin et al., 2023).
    private static func rescaled(_ betas: [Float]) -> [Float] {
        var roots = cumulativeProduct(betas.map { 1 - $0 }).map { $0.squareRoot() }
        let (first, last) = (roots[0], roots[roots.count - 1])
        roots = roots.map { ($0 - last) * (first / (first - last)) }
        let cumulative = roots.map { $0 * $0 }
        let alphas = [cumulative[0]] + Swift.zip(cumulative.dropFirst(), cumulative).map { $0 / $1 }
        return alphas.map { 1 - $0 }
    }
}

import Engine
import Foundation

/// The steps of one stage of refinement: from the enlarged latent back to a timestep of the schedule in
/// one evaluation, and from there to a clean latent again. A pure value.
///
/// Step 0 predicts the noise ε of the enlarged latent z, mixes it with random noise η on the sphere and
/// noises z with the mixture: deterministic DDIM inversion in one step, with a share of chance.
///
///     ε′ = slerp(ε, η, share)        x = √ᾱ_K · z + √(1−ᾱ_K) · ε′
///
/// Every later step is DDIM's with η = 0 (Song et al., 2021), to the next timestep or to ᾱ = 1.
package struct RefineSchedule: Equatable, Sendable {
    /// Timestep that the model is told at each step.
    package let timesteps: [Int]
    /// Guidance scale at each step.
    package let guidance: [Float]
    /// Signal and noise that the latent holds before each step.
    private let levels: [Level]
    private let share: Double
    private let prediction: PredictionType

    private struct Level: Equatable, Sendable {
        let signal: Float
        let noise: Float

        init(alphaCumprod: Float) {
            let alpha = Double(alphaCumprod)
            (signal, noise) = (Float(alpha.squareRoot()), Float((1 - alpha).squareRoot()))
        }
    }

    /// - Parameters:
    ///   - settings: valid ones
    ///   - guidance: of the render
    ///   - scheduler: knows the training schedule and what the model predicts
    package init(_ settings: RefineSettings, guidance: Float, scheduler: Scheduler) {
        let count = scheduler.trainTimesteps
        let start = max(1, min(count - 1, Int((settings.from * Double(count)).rounded()) - 1))
        let back = (0..<settings.steps).map { step in
            let left = Double(settings.steps - step) / Double(settings.steps)
            return max(1, Int((Double(start) * left).rounded()))
        }
        timesteps = [0] + back
        levels = timesteps.map { Level(alphaCumprod: scheduler.alphasCumprod[$0]) }
        let strength = settings.guidance ?? min(guidance, RefineSettings.guidanceLimit)
        self.guidance = [1] + back.map { _ in strength }
        share = settings.noise
        prediction = scheduler.prediction
    }

    /// Evaluations of each window, of which some are guided.
    package var count: Int { timesteps.count }

    /// Whether a step needs random noise.
    package func drawsNoise(at step: Int) -> Bool { step == 0 && share > 0 }

    /// Takes a step on the whole latent.
    ///
    /// - Parameters:
    ///   - output: what the model predicted for it, `[1, height, width, channels]`
    ///   - step: index into `timesteps`
    ///   - x: the latent before the step, of the same shape
    ///   - noise: unit noise of that shape, where `drawsNoise`
    /// - Returns: the latent after it; after the last one it is clean
    package func step(_ output: Tensor, at step: Int, from x: Tensor, noise: Tensor?) -> Tensor {
        let (a, b) = (levels[step].signal, levels[step].noise)
        let predicted: Tensor
        switch prediction {
        case .epsilon: predicted = output
        case .vPrediction: predicted = output.zip(x) { a * $0 + b * $1 }
        }
        if step == 0 {
            let mixed = noise.map { Sphere.mix(predicted, $0, share: share) } ?? predicted
            let (signal, level) = (levels[1].signal, levels[1].noise)
            return x.zip(mixed) { signal * $0 + level * $1 }
        }
        let clean = x.zip(predicted) { ($0 - b * $1) / a }
        guard step + 1 < count else { return clean }
        let (signal, level) = (levels[step + 1].signal, levels[step + 1].noise)
        return clean.zip(predicted) { signal * $0 + level * $1 }
    }
}

/// Mixtures that keep the length of what is mixed.
package enum Sphere {
    /// Spherical linear interpolation (Shoemake, 1985) between two tensors taken as vectors:
    /// sin((1−share)·θ)/sin θ · a + sin(share·θ)/sin θ · b, where θ is the angle between them.
    package static func mix(_ a: Tensor, _ b: Tensor, share: Double) -> Tensor {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        var (dot, ofA, ofB) = (0.0, 0.0, 0.0)
        a.withFloats { a in
            b.withFloats { b in
                for i in a.indices {
                    let (x, y) = (Double(a[i]), Double(b[i]))
                    dot += x * y
                    ofA += x * x
                    ofB += y * y
                }
            }
        }
        let lengths = (ofA * ofB).squareRoot()
        let cosine = lengths > 0 ? min(max(dot / lengths, -1 + 1e-7), 1 - 1e-7) : 0
        let angle = acos(cosine)
        let (p, q) = (
            Float(sin((1 - share) * angle) / sin(angle)), Float(sin(share * angle) / sin(angle))
        )
        return a.zip(b) { p * $0 + q * $1 }
    }
}

import Engine

/// How a render goes from its first phase to the target size; `--method`.
package enum Method: Equatable, Sendable {
    /// Denoises every phase over the whole schedule, with skip residual and dilated sampling (Du et al.,
    /// CVPR 2024, arXiv 2311.16973).
    case demofusion
    /// Enlarges the decoded picture and denoises it over the end of the schedule (after PixelRush, arXiv
    /// 2602.12769).
    case refine(RefineSettings)

    /// As on the command line.
    package var name: String {
        switch self {
        case .demofusion: "demofusion"
        case .refine: "refine"
        }
    }

    /// The settings of refinement, where that is the method.
    package var refinement: RefineSettings? {
        switch self {
        case .demofusion: nil
        case .refine(let settings): settings
        }
    }
}

/// Settings of `--method refine`.
package struct RefineSettings: Equatable, Sendable {
    /// Share of the training schedule that every stage goes back; 0.25 of 1000 timesteps is 249.
    package var from: Double
    /// Denoising steps of a stage, after one evaluation that inverts it.
    package var steps: Int
    /// Share of random noise that is mixed into the predicted noise on the sphere, 0…1: more of it
    /// adds detail, and lets the picture drift from the one before.
    package var noise: Double
    /// Guidance scale of these steps.
    package var guidance: Float

    package static let defaultFrom = 0.25
    package static let defaultNoise = 0.3
    package static let defaultGuidance: Float = 1

    /// Three steps; one for a model that was distilled to few.
    package static func defaultSteps(isDistilled: Bool) -> Int { isDistilled ? 1 : 3 }

    package init(
        from: Double = defaultFrom,
        steps: Int = defaultSteps(isDistilled: false),
        noise: Double = defaultNoise,
        guidance: Float = defaultGuidance
    ) {
        (self.from, self.steps, self.noise, self.guidance) = (from, steps, noise, guidance)
    }

    /// - Throws: `InputError` naming the flag
    func validate() throws(InputError) {
        guard (0.001...0.999).contains(from) else {
            throw InputError(
                "--refine-from",
                "\(from) is out of range",
                fix: "Choose a share of the schedule from 0.001 to 0.999, such as 0.25"
            )
        }
        guard (1...100).contains(steps) else {
            throw InputError("--refine-steps", "\(steps) is out of range", fix: "Choose 1 to 100")
        }
        guard (0...1).contains(noise) else {
            throw InputError("--refine-noise", "\(noise) is out of range", fix: "Choose 0 to 1")
        }
        guard (0...100).contains(guidance) else {
            throw InputError(
                "--refine-guidance",
                "\(guidance) is out of range",
                fix: "Choose 0 to 100"
            )
        }
    }
}

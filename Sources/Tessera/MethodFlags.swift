import ArgumentParser
import Coordinator
import Engine
import Sampling

/// How a render reaches its size.
struct MethodFlags: ParsableArguments {
    enum Name: String, CaseIterable, ExpressibleByArgument {
        case demofusion
        case refine
    }

    @Option(
        name: .customLong("method"),
        help: ArgumentHelp(
            "How the picture grows after phase 1: demofusion denoises every phase over the whole schedule; "
                + "refine enlarges the picture and denoises it over the end of the schedule, with a "
                + "fraction of the UNet calls."
        )
    )
    var name = Name.demofusion

    @Option(
        help: ArgumentHelp(
            "Share of the noise schedule that each stage of --method refine goes back. (default: "
                + "\(RefineSettings.defaultFrom))",
            valueName: "share"
        )
    )
    var refineFrom: Double?

    @Option(
        help: ArgumentHelp(
            "Denoising steps of each stage of --method refine, after the one that inverts it. (default: "
                + "\(RefineSettings.defaultSteps(isDistilled: false)); "
                + "\(RefineSettings.defaultSteps(isDistilled: true)) for a distilled model)",
            valueName: "n"
        )
    )
    var refineSteps: Int?

    @Option(
        help: ArgumentHelp(
            "Share of random noise in the noise that --method refine adds: more of it invents more "
                + "detail. (default: \(RefineSettings.defaultNoise))",
            valueName: "share"
        )
    )
    var refineNoise: Double?

    @Option(
        help: ArgumentHelp(
            "Guidance scale in the stages of --method refine; above 1 each step takes two UNet calls. "
                + "(default: \(RefineSettings.defaultGuidance))",
            valueName: "scale"
        )
    )
    var refineGuidance: Float?

    /// - Throws: `InputError` for flags of a method that was not chosen
    func choice() throws(InputError) -> MethodChoice {
        switch name {
        case .demofusion:
            for (flag, isGiven) in [
                ("--refine-from", refineFrom != nil), ("--refine-steps", refineSteps != nil),
                ("--refine-noise", refineNoise != nil),
                ("--refine-guidance", refineGuidance != nil),
            ] where isGiven {
                throw InputError(
                    flag,
                    "--method \(name.rawValue) does not use it",
                    fix: "Leave it out, or add --method refine"
                )
            }
            return .demofusion
        case .refine:
            return .refine(
                from: refineFrom,
                steps: refineSteps,
                noise: refineNoise,
                guidance: refineGuidance
            )
        }
    }
}

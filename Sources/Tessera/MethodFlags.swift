import ArgumentParser
import Coordinator

/// How a render reaches its size.
struct MethodFlags: ParsableArguments {
    enum Name: String, CaseIterable, ExpressibleByArgument {
        case demofusion
        case refine
    }

    @Option(
        name: .customLong("method"),
        help: ArgumentHelp(
            "How the picture grows after phase 1: demofusion denoises every phase in full; refine "
                + "enlarges the picture and denoises the end of the schedule, in a fraction of the "
                + "UNet calls.",
            valueName: "name"
        )
    )
    var name = Name.demofusion

    @Option(
        help: ArgumentHelp(
            "Share of the noise schedule that each stage of --method refine goes back.",
            valueName: "share"
        )
    )
    var refineFrom = RefineSettings().from

    @Option(
        help: ArgumentHelp(
            "Denoising steps of each stage of --method refine, after one UNet call that inverts it.",
            valueName: "n"
        )
    )
    var refineSteps = RefineSettings().steps

    @Option(
        help: ArgumentHelp(
            "Share of random noise in what --method refine adds: more gives more detail that is new.",
            valueName: "share"
        )
    )
    var refineNoise = RefineSettings().noise

    @Option(
        help: ArgumentHelp(
            "Guidance scale of --method refine. (default: --guidance, at most 1.5)",
            valueName: "scale"
        )
    )
    var refineGuidance: Float?

    var method: Method {
        switch name {
        case .demofusion: .demofusion
        case .refine:
            .refine(
                RefineSettings(
                    from: refineFrom,
                    steps: refineSteps,
                    noise: refineNoise,
                    guidance: refineGuidance
                )
            )
        }
    }
}

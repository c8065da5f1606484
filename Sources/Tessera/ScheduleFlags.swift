import ArgumentParser
import Engine

/// Flags about the timesteps of the scheduler.
struct ScheduleFlags: ParsableArguments {
    @Option(help: "How timesteps are spread over the training schedule. (default: the model's own)")
    var timestepSpacing: TimestepSpacing?

    @Option(
        help:
            "Noise level that the last step ends at: none, or the lowest trained. (default: the model's)"
    )
    var finalSigma: FinalSigma?

    @Flag(
        help: ArgumentHelp(
            "Spread timesteps evenly from the last of the training schedule, in parts of one: what "
                + "other tools call SGM uniform, for Turbo and Lightning models."
        )
    )
    var sgmUniform = false

    @Flag(
        help: ArgumentHelp(
            "Do not take steps, guidance and scheduler from a name that says Turbo, Lightning, LCM or "
                + "Hyper-SD."
        )
    )
    var noModelPreset = false

    var choice: ScheduleChoice {
        ScheduleChoice(
            spacing: timestepSpacing,
            finalSigma: finalSigma,
            isSGMUniform: sgmUniform
        )
    }
}

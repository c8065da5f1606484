import ArgumentParser
import Coordinator
import Engine
import Sampling

/// Flags for the method that reaches the target size.
struct MethodFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What the picture may cost, in one word: a draft with few steps; standard and fine refinement; or "
                + "DemoFusion as in its paper (reference). Decides --method and its flags, which override it; "
                + "plan shows what each costs."
        )
    )
    var preset: Preset?

    @Option(Settings.method) var method: Method?
    @Option(Settings.refineFrom) var refineFrom: Double?
    @Option(Settings.refineSteps) var refineSteps: Int?
    @Option(Settings.refineNoise) var refineNoise: Double?
    @Option(Settings.refineGuidance) var refineGuidance: Float?

    func add(to settings: inout SettingChoices) {
        settings.set(Settings.method, to: method)
        settings.set(Settings.refineFrom, to: refineFrom)
        settings.set(Settings.refineSteps, to: refineSteps)
        settings.set(Settings.refineNoise, to: refineNoise)
        settings.set(Settings.refineGuidance, to: refineGuidance)
    }
}

extension Preset: ExpressibleByArgument {}

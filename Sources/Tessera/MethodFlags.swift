import ArgumentParser
import Engine
import Sampling

/// Flags for the method that reaches the target size.
struct MethodFlags: ParsableArguments {
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

import ArgumentParser
import Engine
import Sampling

/// How a render reaches its size.
struct MethodFlags: ParsableArguments {
    @Option(Settings.method) var method: Method
    @Option(Settings.refineFrom) var refineFrom: Double?
    @Option(Settings.refineSteps) var refineSteps: Int?
    @Option(Settings.refineNoise) var refineNoise: Double?
    @Option(Settings.refineGuidance) var refineGuidance: Float?

    /// - Throws: `InputError` for flags of a method that was not chosen
    func add(to settings: inout SettingChoices) throws(InputError) {
        settings.set(Settings.method, to: method)
        settings.set(Settings.refineFrom, to: refineFrom)
        settings.set(Settings.refineSteps, to: refineSteps)
        settings.set(Settings.refineNoise, to: refineNoise)
        settings.set(Settings.refineGuidance, to: refineGuidance)
        let refining: [any AnySetting] = [
            Settings.refineFrom, Settings.refineSteps, Settings.refineNoise,
            Settings.refineGuidance,
        ]
        for setting in refining where method == .demofusion && settings.has(setting) {
            throw InputError(
                "--\(setting.name)",
                "--method \(method.rawValue) does not use it",
                fix: "Leave it out, or add --method refine"
            )
        }
    }
}

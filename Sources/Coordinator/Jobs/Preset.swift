import Engine
import Sampling

/// How much a picture may cost, in one word: settings of the method that reaches the target size (`--preset`).
///
/// A preset replaces what the model's own file suggests for these settings; flags override it.
package enum Preset: String, CaseIterable, Sendable {
    /// For checking the prompt and the seed.
    case draft
    /// Refinement with its defaults, for a picture to keep.
    case standard
    /// Refinement with more overlap of windows and more steps.
    case fine
    /// DemoFusion as its authors describe it, with every scale as a phase.
    case reference

    /// The settings that it decides, including those that it leaves at their defaults.
    package static let settings: [any AnySetting] = [
        Settings.method, Settings.ladder, Settings.stride, Settings.windowWeight,
        Settings.skipBelow,
        Settings.refineFrom, Settings.refineSteps, Settings.refineNoise, Settings.refineGuidance,
    ]

    /// Name of its flag.
    package static let flag = "preset"

    /// Maximum number of sampling steps in phase 1 of a draft.
    static let draftSteps = 20

    /// The method that it uses.
    package var method: Method { self == .reference ? .demofusion : .refine }

    /// - Parameters:
    ///   - model: the model, whose windows overlap
    ///   - isDistilled: whether the model is distilled, and so needs few steps
    /// - Returns: the method, and values that differ from its defaults
    func choices(for model: ModelGeometry, isDistilled: Bool) -> SettingChoices {
        var choices = SettingChoices()
        choices.set(Settings.method, to: method)
        switch self {
        case .draft:
            choices.set(Settings.refineSteps, to: 1)
        case .fine:
            choices.set(Settings.refineSteps, to: isDistilled ? 2 : 4)
            choices.set(Settings.stride, to: .every(max(1, model.nativeLatentSide / 2)))
        case .standard, .reference: break
        }
        return choices
    }

    /// Maximum number of steps in phase 1; nil for the model's own number.
    var maxSteps: Int? { self == .draft ? Self.draftSteps : nil }

    /// Rejects flags that belong to the other method.
    ///
    /// - Parameters:
    ///   - given: explicit choices
    ///   - settings: the settings with every default filled in
    /// - Throws: `InputError` naming the preset and the flag
    func check(_ given: SettingChoices, in settings: RenderSettings) throws(InputError) {
        var own = settings
        own.method = method
        let isOther = given.has(Settings.method) && settings.method != method
        guard
            let flag = isOther
                ? Settings.method
                : own.unusedSetting(given: given).flatMap({ given.has($0) ? $0 : nil })
        else { return }
        let others = Self.allCases.filter { $0.method != method }.map(\.rawValue)
        throw InputError(
            "--preset \(rawValue)",
            "it is for --method \(method.rawValue), and --\(flag.name) \(flag.json(of: settings).brief) is not",
            fix: "Leave one of them out, or choose --preset \(others.joined(separator: ", "))"
        )
    }
}

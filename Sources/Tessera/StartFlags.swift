import ArgumentParser
import Coordinator
import Engine
import Sampling

/// Flags about a picture to begin with.
struct StartFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Begin with this picture (PNG): change it, or enlarge it. What sticks out of the shape of "
                + "--size is cut off on both sides.",
            valueName: "photo.png"
        )
    )
    var initImage: String?

    @Option(Settings.strength) var strength: Double?
    @Option(Settings.fidelity) var fidelity: Double?

    @Option(
        help: ArgumentHelp(
            "Most pixels that --init-image may have. (default: \(PictureLimits.defaultPixels))",
            valueName: "n"
        )
    )
    var maxInitPixels: Int?

    mutating func validate() throws {
        if let maxInitPixels, !(1...PictureLimits.maxPixels).contains(maxInitPixels) {
            throw ValidationError(
                "--max-init-pixels must be from 1 to \(PictureLimits.maxPixels)."
            )
        }
    }

    func add(to settings: inout SettingChoices) {
        settings.set(Settings.strength, to: strength)
        settings.set(Settings.fidelity, to: fidelity)
    }

    /// - Throws: `InputError` for flags about a picture where there is none
    func choice() throws(InputError) -> PictureChoice? {
        guard let initImage else {
            for (flag, isGiven) in [
                ("--strength", strength != nil), ("--fidelity", fidelity != nil),
                ("--max-init-pixels", maxInitPixels != nil),
            ] where isGiven {
                throw InputError(
                    flag,
                    "there is no picture to begin with",
                    fix: "Give --init-image"
                )
            }
            return nil
        }
        var choice = PictureChoice(path: initImage)
        choice.limits.pixels = maxInitPixels ?? choice.limits.pixels
        return choice
    }
}

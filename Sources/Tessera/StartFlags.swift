import ArgumentParser
import Coordinator
import Engine
import Sampling

/// Flags for the init image.
struct StartFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Init image (PNG), to be changed or enlarged. It is centre-cropped to the aspect ratio of "
                + "--size.",
            valueName: "photo.png"
        ),
        completion: .file(extensions: ["png"])
    )
    var initImage: String?

    @Option(Settings.strength) var strength: Double?
    @Option(Settings.fidelity) var fidelity: Double?

    @Option(
        help: ArgumentHelp(
            "Maximum number of pixels of --init-image. (default: \(PictureLimits.defaultPixels))",
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

    /// - Throws: `InputError` for such flags without a picture
    func choice() throws(InputError) -> PictureChoice? {
        guard let initImage else {
            for (flag, isGiven) in [
                ("--strength", strength != nil), ("--fidelity", fidelity != nil),
                ("--max-init-pixels", maxInitPixels != nil),
            ] where isGiven {
                throw InputError(
                    flag,
                    "it needs an init image",
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

import ArgumentParser
import Coordinator
import Engine

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

    @Option(
        help: ArgumentHelp(
            "Share of the steps of each phase that are run, the last ones: 0 changes nothing. "
                + "(default: 1)",
            valueName: "0…1"
        )
    )
    var strength: Double?

    @Option(
        help: ArgumentHelp(
            "Down to which share of its own resolution the picture is kept; what is finer is invented. "
                + "(default: 0.5)",
            valueName: "0…1"
        )
    )
    var fidelity: Double?

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
        choice.strength = strength ?? choice.strength
        choice.fidelity = fidelity ?? choice.fidelity
        choice.limits.pixels = maxInitPixels ?? choice.limits.pixels
        return choice
    }
}

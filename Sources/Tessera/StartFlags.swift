import ArgumentParser
import Coordinator
import Engine
import Sampling

/// Flags for the init image.
struct StartFlags: ParsableArguments {
    /// File extensions of pictures that can be read.
    static let pictures = ["png", "jpg", "jpeg", "webp", "tif", "tiff"]

    @Option(
        help: ArgumentHelp(
            "Init image (PNG, JPEG, WebP or TIFF), to be changed or enlarged. It is centre-cropped to the "
                + "aspect ratio of --size.",
            valueName: "photo.png"
        ),
        completion: .file(extensions: Self.pictures)
    )
    var initImage: String?

    @Option(
        help: ArgumentHelp(
            "Mask of the init image, of any size: what is white in it is changed, the rest is kept.",
            valueName: "mask.png"
        ),
        completion: .file(extensions: Self.pictures)
    )
    var mask: String?

    @Option(
        help: ArgumentHelp(
            "Extend the init image by so many of its pixels at each edge, and paint what is new.",
            valueName: "left,top,right,bottom"
        )
    )
    var extend: GrowthArgument?

    @Option(Settings.strength) var strength: Double?
    @Option(Settings.fidelity) var fidelity: Double?
    @Option(Settings.imageGuidance) var imageGuidance: Float?

    @Option(
        help: ArgumentHelp(
            "Maximum number of pixels of --init-image and --mask. (default: \(PictureLimits.defaultPixels))",
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
        settings.set(Settings.imageGuidance, to: imageGuidance)
    }

    /// - Throws: `InputError` for flags that need an init image if there is none
    func choice() throws(InputError) -> PictureChoice? {
        guard let initImage else {
            for (flag, isGiven) in [
                ("--strength", strength != nil), ("--fidelity", fidelity != nil),
                ("--image-guidance", imageGuidance != nil),
                ("--mask", mask != nil), ("--extend", extend != nil),
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

    /// The mask, subject to the same limits as the init image.
    var maskChoice: PictureChoice? {
        mask.map { path in
            var choice = PictureChoice(path: path)
            choice.limits.pixels = maxInitPixels ?? choice.limits.pixels
            return choice
        }
    }
}

/// The value of `--extend`.
struct GrowthArgument: ExpressibleByArgument {
    let growth: PictureGrowth

    /// Maximum extension of a side, in pixels.
    private static let longest = 1 << 16

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let sides = parts.compactMap { Int($0) }
        guard sides.count == 4, parts.count == 4,
            sides.allSatisfy({ (0...Self.longest).contains($0) }), sides.contains(where: { $0 > 0 })
        else { return nil }
        growth = PictureGrowth(
            left: sides[0],
            top: sides[1],
            right: sides[2],
            bottom: sides[3]
        )
    }
}

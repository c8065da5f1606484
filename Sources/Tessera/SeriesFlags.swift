import ArgumentParser
import Coordinator
import Engine

/// Flags for several pictures from one command.
struct SeriesFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Pictures to render of each prompt, with consecutive seeds from --seed on.",
            valueName: "n"
        )
    )
    var count: Int?

    @Option(help: ArgumentHelp("Seeds to render each prompt with.", valueName: "1,5,10-19"))
    var seeds: String?

    @Option(
        help: ArgumentHelp(
            "File of prompts, one a line; a line may also be flags, as --prompt \"a lake\" --steps 20, by our names or "
                + "those of A1111's \"prompts from file\". Empty lines and those that begin with # are skipped.",
            valueName: "file"
        ),
        completion: .file(extensions: ["txt"])
    )
    var prompts: String?

    @Option(
        help: ArgumentHelp(
            "Folder of wildcards: __colour__ in a prompt becomes a line of colour.txt, and {a|b|c} one of its parts, "
                + "chosen by the seed.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var wildcards: String?

    /// Names of these flags: they describe the series, not one of its pictures.
    static let names: Set<String> = ["count", "seeds", "prompts", "wildcards"]

    /// Rejects flags that contradict each other.
    ///
    /// - Parameter given: names of the flags on the command line
    /// - Throws: `InputError` naming the flag
    func check(given: Set<String>) throws(InputError) {
        guard seeds != nil, given.contains("seeds") else { return }
        for flag in ["seed", "count"] where given.contains(flag) {
            throw InputError("--seeds", "--\(flag) is given, too", fix: "Use only one of them")
        }
    }

    /// The seeds of a prompt.
    ///
    /// - Parameters:
    ///   - own: the seed that the line sets in the prompts file
    ///   - first: the seed of the command
    ///   - times: how many pictures the line asks for
    /// - Returns: one seed for each picture
    /// - Throws: `InputError` naming the flag
    func seeds(own: UInt64?, first: UInt64, times: Int?) throws(InputError) -> [UInt64] {
        if let seeds, own == nil { return try SeedList.read(seeds) }
        return try SeedList.consecutive(from: own ?? first, count: times ?? count ?? 1)
    }
}

/// Flags for repeating a picture.
struct RepeatFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Repeat a picture (PNG, JPEG, WebP or TIFF) from the text in its file, by Tessera, A1111 or ComfyUI; other "
                + "flags override what it says.",
            valueName: "picture.png"
        ),
        completion: .file(extensions: StartFlags.pictures)
    )
    var fromPNG: String?

    @Option(
        help: ArgumentHelp(
            "Folder of models in which --from-png looks for the picture's, by name and hash.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var modelDir: String?

    /// Name of the flag that is replaced by the picture's own flags.
    static let name = "from-png"
}

extension RepeatFlags {
    /// How to reproduce a picture.
    ///
    /// - Parameters:
    ///   - path: path of the picture
    ///   - given: names of the flags on the command line
    ///   - picture: the flags of the command line
    ///   - format: output format of the repeat; nil if unknown
    /// - Returns: flags, and warnings about what cannot be reproduced
    /// - Throws: `InputError` if the picture cannot be read
    func recipe(
        of path: String,
        given: Set<String>,
        _ picture: PictureFlags,
        format: PictureFormat?
    ) throws -> PictureRecipe {
        try PictureRecipe(
            PictureRecipe.Request(
                path: path,
                given: given,
                model: given.contains("model") ? picture.model.model : nil,
                modelFolder: modelDir,
                loraFolder: picture.files.loraDir,
                isLossy: format?.isLossy
            )
        )
    }
}

import ArgumentParser
import Coordinator

/// Flags for checking workers' answers.
struct VerifyFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How many of the workers' answers another host computes again: a share as 0.01 or 1%, all, or off. (default: 0.01)",
            valueName: "share|all|off"
        )
    )
    var verify: VerifyArgument?

    var share: VerifyShare { verify?.share ?? .byDefault }

    /// The same flags, to pass on to another command.
    var arguments: [String] { verify.map { ["--verify", $0.share.text] } ?? [] }
}

/// The value of `--verify`.
struct VerifyArgument: ExpressibleByArgument {
    let share: VerifyShare

    init?(argument: String) {
        guard let share = VerifyShare(argument) else { return nil }
        self.share = share
    }
}

extension Rendering {
    /// The render with checks of answers as set by the flags; what is learned about hosts is recorded.
    func verified(_ flags: VerifyFlags) -> Rendering {
        var rendering = self
        (rendering.verify, rendering.siteBook) = (flags.share, SiteBook())
        return rendering
    }
}

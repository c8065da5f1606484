import ArgumentParser
import Coordinator
import Engine

/// Flags about saving where a render stands.
struct JobFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder for what is needed to resume. (default: one of its own in "
                + "~/.local/state/tessera/jobs)",
            valueName: "dir"
        )
    )
    var jobDir: String?

    @Option(help: "Save after so many steps; 0 never saves.")
    var checkpointEvery = 1

    mutating func validate() throws {
        guard (0...1_000_000).contains(checkpointEvery) else {
            throw ValidationError("--checkpoint-every must be from 0 to 1000000.")
        }
    }
}

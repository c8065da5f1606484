import ArgumentParser
import Coordinator
import Engine

/// Flags for saving the state of a render.
struct JobFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder for the state needed to resume. (default: a new folder in "
                + "~/.local/state/tessera/jobs)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var jobDir: String?

    @Option(help: "Save the state after this many steps; 0 never saves.")
    var checkpointEvery = 1

    mutating func validate() throws {
        guard (0...1_000_000).contains(checkpointEvery) else {
            throw ValidationError("--checkpoint-every must be from 0 to 1000000.")
        }
    }
}

import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Entry point of the program.
@main enum Program {
    static func main() {
        StandardStreams.prepare()
        // Must run before any other thread is started.
        _ = FileMask.mode
        exit(Invocation.run())
    }
}

struct Tessera: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tessera",
        abstract: "Renders very large pictures with latent diffusion models, on many machines.",
        discussion: """
            Every flag can have a default in the environment: TESSERA_STEPS=30 sets --steps 30 unless that \
            flag is given. (Not for resume, which keeps the flags of its render.)

            Results go to standard output, everything else to standard error. Exit status: 0 done, 64 bad usage or \
            input, 69 no workers or no service, 70 internal error or a result that could not be written, 75 a service \
            cannot do it now, 77 a service does not allow it, 130 interrupted.
            """,
        version: RenderSession.version,
        subcommands: [
            Render.self, Resume.self, Coordinate.self, Work.self, Plan.self, Inspect.self,
            Doctor.self, Keys.self, ClusterCommand.self, Join.self, RelayCommand.self,
            AgentCommand.self, Serve.self, Tokens.self, Submit.self, JobsCommand.self, Watch.self,
            Cancel.self, Fetch.self, Manual.self,
        ]
    )
}

import ArgumentParser
import Coordinator

@main
struct Tessera: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tessera",
        abstract: "Renders very large pictures with latent diffusion models, on many machines.",
        version: RenderSession.version,
        subcommands: [
            Render.self, Resume.self, Coordinate.self, Work.self, Plan.self, Inspect.self,
            Doctor.self, Keys.self, ClusterCommand.self, AgentCommand.self,
        ]
    )
}

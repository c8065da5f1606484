import ArgumentParser
import Coordinator
import Fleet

/// `tessera agent`: the process that a coordinator starts on each host.
struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Starts and ends a host's workers as requested on standard input.",
        shouldDisplay: false
    )

    func run() throws {
        try ExitStatus.reporting { try Agent.serve(version: RenderSession.version) }
    }
}

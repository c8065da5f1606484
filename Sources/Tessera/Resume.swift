import ArgumentParser
import Coordinator
import Engine
import Foundation

/// `tessera resume`: goes on with a render that was interrupted.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Goes on with a render that was interrupted, from the last step that was saved.",
        discussion: "Flags of the first call about workers may be given anew after the job."
    )

    @Argument(help: "The job's folder, or its name in ~/.local/state/tessera/jobs.")
    var job: String

    @Argument(parsing: .captureForPassthrough, help: .hidden)
    var flags: [String] = []

    func run() throws {
        try ExitStatus.reporting {
            let folder = try JobFolder(taking: try JobFolder.find(job))
            let record = try folder.record()
            guard chdir(record.directory) == 0 else {
                throw InputError(
                    record.directory,
                    "the folder in which the render was called is gone",
                    fix: "Make it again"
                )
            }
            let resumed = (folder, record)
            let arguments = record.arguments + flags
            switch record.command {
            case "render": try parse(Render.self, arguments, folder).render(resumed)
            case "coordinator": try parse(Coordinate.self, arguments, folder).render(resumed)
            default:
                throw InputError(
                    folder.path,
                    "its command '\(record.command)' is unknown",
                    fix: "Resume it with the version of Tessera that began it"
                )
            }
        }
    }

    private func parse<Command: ParsableCommand>(
        _ command: Command.Type,
        _ arguments: [String],
        _ folder: JobFolder
    ) throws(InputError) -> Command {
        do {
            return try command.parse(arguments)
        } catch {
            throw InputError(
                folder.path,
                "its flags cannot be read: \(command.message(for: error))",
                fix: "Resume it with the version of Tessera that began it"
            )
        }
    }
}

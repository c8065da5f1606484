import Engine
import Foundation
import TestSupport
import Testing

/// Standard streams that are closed, full, or gone.
@Suite(.serialized) struct StreamTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ command: String, _ folder: String, _ more: [String] = []) -> [String] {
        [
            command, "--model", model, "--prompt", "a prompt", "--size", "192x128", "--steps", "2",
            "--output", "\(folder)/out.png",
        ] + more
    }

    /// Losing the log never loses a picture, and no socket or file reuses the log's file descriptor.
    @Test(arguments: [
        Command.shell("2>/dev/full"), Command.shell("2>&-"), Command.shell("<&- 2>&-"),
        Command.shell("2>&1 | true"), Command.streams("fullpipe"), Command.streams("hangup"),
    ])
    func thePictureOutlivesItsLog(launcher: [String]) throws {
        try inTemporaryFolder { folder in
            let whole = try Command(flags("render", folder))
            #expect(whole.status == 0, "\(whole.errors)")
            let file = URL(fileURLWithPath: "\(folder)/out.png")
            let expected = try Data(contentsOf: file)
            try FileManager.default.removeItem(at: file)
            let command = try Command(flags("render", folder), through: launcher)
            // If the terminal is gone, the picture's path cannot be printed, and the exit status says so.
            let isGone = launcher.last == "hangup"
            #expect(command.status == (isGone ? 70 : 0), "\(launcher): \(command.errors)")
            #expect(try Data(contentsOf: file) == expected)
        }
    }

    /// A result that could not be printed is not a success.
    @Test(arguments: [
        ["inspect"], ["plan"], ["doctor"], ["doctor", "--json"], ["keys", "show"], ["--help"],
        ["--version"], ["cluster", "status"], ["resume"], ["render"],
    ])
    func aResultThatCannotBeWrittenIsAFailure(words: [String]) throws {
        try inTemporaryFolder { folder in
            let key = "\(folder)/key"
            #expect(try Command(["keys", "new", key]).status == 0)
            var arguments = words
            switch words {
            case ["inspect"]: arguments.append(model)
            case ["plan"], ["render"]: arguments = flags(words[0], folder)
            case ["keys", "show"]: arguments.append(key)
            case ["cluster", "status"]:
                try "hosts:\n  - name: localhost\n".write(
                    toFile: "\(folder)/c.yaml",
                    atomically: true,
                    encoding: .utf8
                )
                arguments += ["--cluster", "\(folder)/c.yaml"]
            case ["resume"]: arguments.append("--json")
            default: break
            }
            for redirection in [">/dev/full", ">&-"] {
                let command = try Command(arguments, through: Command.shell(redirection))
                #expect(command.status == 70, "\(words) \(redirection): \(command.status)")
                #expect(command.complaints.count == 1, "\(words): \(command.errors)")
                #expect(
                    command.complaints.first?.contains("standard output could not be written")
                        == true,
                    "\(command.errors)"
                )
            }
        }
    }

    /// A worker started by hand whose output nobody reads.
    @Test func workersRenderWithoutALog() throws {
        try inTemporaryFolder { folder in
            let port = try freePort()
            var arguments = flags("coordinator", folder, ["--bind", "tcp://127.0.0.1:\(port)"])
            arguments += ["--global-pass", "workers"]
            let coordinator = try Command.Running(arguments)
            let worker = try Command.Running(
                ["worker", "--connect", "tcp://127.0.0.1:\(port)", "--model", model],
                through: Command.shell(">&- 2>&-")
            )
            let command = coordinator.finish()
            #expect(command.status == 0, "\(command.errors)")
            kill(worker.process.processIdentifier, SIGTERM)
            #expect(worker.finish().status == 0)
        }
    }
}

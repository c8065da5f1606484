import Foundation
import TestSupport
import Testing

/// The exit statuses that the documentation promises, each from a real command.
@Suite(.serialized) struct ExitStatusTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    /// Exit statuses in a document's table.
    private func documented(_ file: String) throws -> Set<Int32> {
        let text = try String(
            contentsOfFile: "\(Fixtures.packageRoot)/docs/\(file).md",
            encoding: .utf8
        )
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasPrefix("| status |") })
        let rows = lines[(start + 2)...].prefix { $0.hasPrefix("|") }
        return Set(
            rows.compactMap { row in
                Int32(row.split(separator: "|")[0].trimmingCharacters(in: .whitespaces))
            }
        )
    }

    @Test func theTablesNameTheSameStatuses() throws {
        #expect(try documented("commandline") == [0, 64, 69, 70, 75, 77, 130])
        #expect(try documented("architecture") == documented("commandline"))
    }

    @Test func doneIsZero() throws {
        #expect(try Command(["--version"]).status == 0)
    }

    @Test func badInputIs64() throws {
        let flags = ["plan", "--model", model, "--steps", "0"]
        #expect(try Command(flags).status == 64)
        #expect(try Command(["plan", "--model", "/nowhere"]).status == 64)
    }

    @Test func noWorkersIs69() throws {
        try inTemporaryFolder { folder in
            try "hosts:\n  - {name: localhost, tessera: /nowhere/tessera}\n".write(
                toFile: "\(folder)/c.yaml",
                atomically: true,
                encoding: .utf8
            )
            let command = try Command([
                "render", "--prompt", "x", "--model", model, "--size", "64x64", "--cluster",
                "\(folder)/c.yaml", "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 69, "\(command.errors)")
        }
    }

    /// A full standard output, and a system limit reached while opening an input.
    @Test func aSystemErrorIs70() throws {
        let full = try Command(["--version"], through: Command.shell(">/dev/full"))
        #expect(full.status == 70)
        // The limit leaves one file descriptor, which the lock on the job folder takes.
        try inTemporaryFolder { folder in
            try "{}".write(toFile: "\(folder)/job.json", atomically: true, encoding: .utf8)
            let limit = ["sh", "-c", "ulimit -n 4; exec \"$0\" \"$@\""]
            let command = try Command(["resume", folder], through: limit)
            #expect(command.status == 70, "\(command.errors)")
            #expect(command.errors.contains("Too many open files"), "\(command.errors)")
            #expect(try Command(["resume", folder]).status == 64)
        }
    }

    @Test func interruptedIs130() throws {
        try inTemporaryFolder { folder in
            let running = try Command.Running([
                "coordinator", "--prompt", "x", "--model", model, "--size", "64x64", "--bind",
                "ipc://\(folder)/socket", "--output", "\(folder)/out.png",
            ])
            #expect(running.waitFor("waiting for workers"))
            kill(running.process.processIdentifier, SIGINT)
            #expect(running.finish().status == 130)
        }
    }
}

import Foundation
import TestSupport
import Testing

/// The built program, run as a person would.
struct Command {
    let status: Int32
    let output: String
    let errors: String

    /// Lines of standard error that report an error.
    var complaints: [String] {
        errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("tessera: ") }
    }

    /// Words after a name in the table that `tessera plan` prints.
    func row(_ name: String) throws -> [Substring] {
        let line = output.split(separator: "\n").first { $0.hasPrefix(name) }
        return try #require(line).dropFirst(name.count).split(separator: " ")
    }

    /// Runs `tessera` until it exits.
    ///
    /// - Parameters:
    ///   - arguments: command-line arguments
    ///   - environment: variables to add to the tests' own
    ///   - launcher: program that runs `tessera`, with its arguments
    ///   - folder: working directory
    /// - Throws: if it cannot be started
    init(
        _ arguments: [String],
        environment: [String: String] = [:],
        through launcher: [String] = [],
        in folder: String? = nil
    ) throws {
        let running = try Running(
            arguments,
            environment: environment,
            through: launcher,
            in: folder
        )
        self = running.finish()
    }

    /// Launcher: a shell that redirects the standard streams.
    static func shell(_ redirections: String) -> [String] {
        ["sh", "-c", "exec \"$0\" \"$@\" \(redirections)"]
    }

    /// Launcher: standard streams that a shell cannot set up.
    static func streams(_ mode: String...) -> [String] {
        ["python3", "\(Fixtures.packageRoot)/Tests/streams.py"] + mode
    }

    /// A program that has been started.
    final class Running {
        let process = Process()
        private let output = Pipe()
        private let errors: URL

        /// - Parameters:
        ///   - arguments: command-line arguments
        ///   - environment: variables to add to the tests' own
        ///   - host: network namespace to run in
        ///   - launcher: program that runs it, with its arguments
        ///   - folder: working directory
        ///   - program: program to run instead of `tessera`, from the build folder
        /// - Throws: if it cannot be started
        init(
            _ arguments: [String],
            environment: [String: String] = [:],
            on host: String? = nil,
            through launcher: [String] = [],
            in folder: String? = nil,
            program: String = "tessera"
        ) throws {
            // The state of interrupted jobs must not end up in the home folder of whoever runs the tests.
            let state = ["XDG_STATE_HOME": "\(NSTemporaryDirectory())tessera-state-\(getpid())"]
            process.environment = ProcessInfo.processInfo.environment
                .merging(state) { _, new in new }
                .merging(environment) { _, new in new }
            let path = "\(Fixtures.packageRoot)/.build/release/\(program)"
            // `ip netns exec` replaces itself with the program, so this is the program's process.
            let before = host.map { ["ip", "netns", "exec", $0] } ?? launcher
            process.executableURL = URL(fileURLWithPath: before.isEmpty ? path : "/usr/bin/env")
            process.arguments = (before.isEmpty ? [] : before + [path]) + arguments
            if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
            process.standardOutput = output
            // Read only after the program has ended, so the pipe must hold all of its output (F_SETPIPE_SZ, fcntl(2)).
            _ = fcntl(output.fileHandleForWriting.fileDescriptor, 1031, Int32(1 << 20))
            errors = FileManager.default.temporaryDirectory
                .appendingPathComponent("tessera-stderr-\(UUID().uuidString)")
            _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
            process.standardError = try FileHandle(forWritingTo: errors)
            try process.run()
        }

        func finish() -> Command {
            // Not `waitUntilExit`, which may wait indefinitely for a child whose exit another thread saw.
            let deadline = ContinuousClock.now + .seconds(120)
            while process.isRunning, kill(process.processIdentifier, 0) == 0 {
                if ContinuousClock.now > deadline { kill(process.processIdentifier, SIGKILL) }
                usleep(2000)
            }
            // The process may be gone a moment before Foundation knows its status.
            let moment = ContinuousClock.now + .seconds(30)
            while process.isRunning, ContinuousClock.now < moment { usleep(2000) }
            let text = output.fileHandleForReading.readDataToEndOfFile()
            let complaints = (try? Data(contentsOf: errors)) ?? Data()
            try? FileManager.default.removeItem(at: errors)
            return Command(
                status: process.isRunning ? -1 : process.terminationStatus,
                output: String(decoding: text, as: UTF8.self),
                errors: String(decoding: complaints, as: UTF8.self)
            )
        }

        /// What it has written to standard error so far.
        var errorsSoFar: String {
            (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        }

        /// Waits until standard error contains `text`; false if the program ends or a minute passes.
        func waitFor(_ text: String) -> Bool {
            let deadline = ContinuousClock.now + .seconds(60)
            while !errorsSoFar.contains(text) {
                guard process.isRunning, ContinuousClock.now < deadline else { return false }
                usleep(5000)
            }
            return true
        }

        /// Child processes that are still running.
        var children: [Int32] {
            let path = "/proc/\(process.processIdentifier)/task"
            let tasks = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            return tasks.flatMap { task in
                let text =
                    (try? String(contentsOfFile: "\(path)/\(task)/children", encoding: .utf8))
                return (text ?? "").split(separator: " ").compactMap { Int32($0) }
            }
        }
    }

    private init(status: Int32, output: String, errors: String) {
        self.status = status
        self.output = output
        self.errors = errors
    }
}

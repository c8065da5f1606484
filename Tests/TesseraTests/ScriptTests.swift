import Engine
import Foundation
import TestSupport
import Testing

/// Output for scripts.
@Suite(.serialized) struct ScriptTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ command: String, _ folder: String, _ more: [String] = []) -> [String] {
        [
            command, "--model", model, "--prompt", "a prompt", "--size", "192x128", "--steps", "2",
            "--output", "\(folder)/out.png",
        ] + more
    }

    private func object(_ command: Command) throws -> [String: JSON] {
        #expect(command.status == 0, "\(command.errors)")
        #expect(command.output.hasSuffix("}\n") && command.output.filter { $0 == "\n" }.count == 1)
        return try #require(try JSON(command.output.utf8, place: "output").object)
    }

    @Test func aRenderReportsItsPictureAndTime() throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags("render", folder))
            #expect(command.status == 0 && command.output == "\(folder)/out.png\n")
            let lines = command.errors.split(separator: "\n")
            #expect(lines.contains { $0.contains(" UNet calls, ") })
            let last = try #require(lines.last)
            #expect(last.wholeMatch(of: /.*\/out\.png: 192×128 in [0-9.]+ s/) != nil, "\(last)")
        }
    }

    @Test func quietIsQuiet() throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags("render", folder, ["--quiet"]))
            #expect(command.status == 0 && command.errors.isEmpty, "\(command.errors)")
            #expect(command.output == "\(folder)/out.png\n")
            let wrong = try Command(flags("render", folder, ["--quiet", "--lora", "/nowhere"]))
            #expect(wrong.status == 64 && wrong.complaints.count == 1)
        }
    }

    @Test func resultsAsJSON() throws {
        try inTemporaryFolder { folder in
            let more = ["--json", "--seed", "18446744073709551615", "--workers", "2"]
            let planned = try object(try Command(flags("plan", folder, more)))
            let command = try Command(flags("render", folder, more))
            let found = try object(command)
            #expect(found["picture"] == .string("\(folder)/out.png"))
            #expect(found["width"]?.integer == 192 && found["height"]?.integer == 128)
            #expect(found["seed"] == .string("18446744073709551615"))
            #expect(found["unet_calls"] == planned["unet_calls"])
            #expect(found["latent_bytes"] == planned["latent_bytes"])
            #expect(found["workers"]?.array?.count == 2)
            #expect(found["model_digest"]?.string?.count == 64)
            guard case .number = found["seconds"] else {
                Issue.record("\(found)")
                return
            }
            #expect(planned["phases"]?.array?.last?.object?["width"]?.integer == 192)
            #expect(planned["seconds"] == nil)
            let measured = try object(try Command(flags("plan", folder, more + ["--measure"])))
            #expect(measured["seconds"]?.object?["workers"]?.object?.count == 2)
            let doctor = try object(try Command(["doctor", "--json"]))
            #expect(doctor["backend"] != nil && doctor["avx_512"] != nil, "\(doctor)")
            try "hosts:\n  - name: localhost\n".write(
                toFile: "\(folder)/c.yaml",
                atomically: true,
                encoding: .utf8
            )
            let status = try object(
                try Command(["cluster", "status", "--json", "--cluster", "\(folder)/c.yaml"])
            )
            let row = status["rows"]?.array?.first?.object
            #expect(row?["host"] == .string("localhost") && row?["state"] == .string("down"))
        }
    }

    /// Workers of a Slurm job must load and compute the same as the coordinator, so every flag that both have is passed
    /// on.
    @Test func slurmsWorkersGetTheFlagsThatTheyShare() throws {
        func flags(_ command: String) throws -> Set<Substring> {
            let help = try Command([command, "--help"]).output
            return Set(help.matches(of: /--[a-z][a-z-]+/).map(\.output))
        }
        let shared = try flags("worker").intersection(flags("coordinator"))
            .subtracting(["--keys", "--insecure", "--help", "--version", "--connect", "--inputs"])
        #expect(shared.contains("--lora") && shared.contains("--precision"), "\(shared)")
        let script = try String(
            contentsOfFile: "\(Fixtures.packageRoot)/deploy/slurm/tessera.sbatch",
            encoding: .utf8
        )
        for flag in shared {
            let isForwarded = ["| \(flag) |", "  \(flag) |", "| \(flag))"].contains {
                script.contains($0)
            }
            #expect(isForwarded && script.contains("\(flag)=*"), "\(flag)")
        }
    }

    /// Tags in a prompt name LoRAs that the workers would not have, so they are refused before any node is used.
    @Test(arguments: [
        (["--prompt-syntax", "a1111", "--prompt", "a <lora:x:0.5> lake"], true),
        (["--prompt=<lyco:x:1>", "--prompt-syntax=a1111"], true),
        (["--prompt", "a <lora:x:0.5> lake"], false),
        (["--prompt-syntax", "a1111", "--prompt", "a lake"], false),
    ])
    func slurmsPromptsHaveNoTags(words: [String], isRefused: Bool) throws {
        try inTemporaryFolder { folder in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments =
                ["bash", "\(Fixtures.packageRoot)/deploy/slurm/tessera.sbatch"] + words
            // Outside a Slurm job, the script only gets as far as its checks.
            process.environment = ["PATH": "/usr/bin:/bin", "TESSERA": "/bin/false"]
            process.currentDirectoryURL = URL(fileURLWithPath: folder)
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let text = String(
                decoding: errors.fileHandleForReading.readDataToEndOfFile(),
                as: UTF8.self
            )
            process.waitUntilExit()
            #expect((process.terminationStatus == 64) == isRefused, "\(text)")
            #expect(text.contains("give --lora FILE:WEIGHT") == isRefused, "\(text)")
        }
    }

    /// A render that was killed has printed its job's name, and the list of resumable jobs contains it.
    @Test func killedJobsAreListedAndResumed() throws {
        try inTemporaryFolder { folder in
            let environment = ["XDG_STATE_HOME": "\(folder)/state"]
            func resume(_ words: String...) throws -> Command {
                try Command(["resume"] + words, environment: environment)
            }
            #expect(try resume().status == 0)
            #expect(try resume("--last").status == 64)
            var names: [String] = []
            for seed in 1...2 {
                let path = "\(folder)/\(seed).png"
                let running = try Command.Running(
                    flags("render", folder) + ["--output", path, "--seed", "\(seed)"]
                        + ["--steps", "80"],
                    environment: environment
                )
                #expect(running.waitFor("\njob ") || running.errorsSoFar.hasPrefix("job "))
                #expect(
                    eventually {
                        let jobs = "\(folder)/state/tessera/jobs"
                        let found =
                            (try? FileManager.default.contentsOfDirectory(atPath: jobs)) ?? []
                        return found.count == seed
                            && found.allSatisfy {
                                access("\(jobs)/\($0)/state.safetensors", F_OK) == 0
                            }
                    }
                )
                let name = try #require(
                    running.errorsSoFar.split(separator: "\n").first { $0.hasPrefix("job ") }
                ).dropFirst(4)
                if seed == 2 {
                    let list = try resume()
                    #expect(list.output.contains("rendering now"), "\(list.output)")
                }
                kill(running.process.processIdentifier, SIGKILL)
                _ = running.finish()
                names.append(String(name))
                // So that their save times differ.
                usleep(50_000)
            }
            let list = try resume()
            #expect(list.status == 0, "\(list.errors)")
            for part in names + ["192x128", "phase ", "a prompt"] {
                #expect(list.output.contains(part), "\(part) in \(list.output)")
            }
            #expect(list.output.contains(/phase \d\/\d, step \d+\/80|decoding/), "\(list.output)")
            // Shell completion offers them.
            let offered = try Command(
                [
                    "---completion", "resume", "--", "positional@0", "2", "0", "tessera", "resume",
                    "",
                ],
                environment: environment
            ).output
            #expect(names.allSatisfy(offered.contains), "\(offered)")
            #expect(!list.output.contains("rendering now"))
            let listed = try JSON(try resume("--json").output.utf8, place: "list").array
            #expect(listed?.compactMap { $0.object?["name"]?.string } == names.reversed())
            let last = try resume("--last", "--workers", "1", "--quiet")
            #expect(last.status == 0, "\(last.errors)")
            #expect(last.output == "\(folder)/2.png\n")
            let first = try resume(names[0], "--output", "\(folder)/other.png")
            #expect(first.status == 0 && first.output == "\(folder)/other.png\n", "\(first.errors)")
            #expect(try resume(names[0]).status == 64)
            #expect(try resume().output.isEmpty)
        }
    }
}

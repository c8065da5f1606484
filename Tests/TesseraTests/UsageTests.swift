import Engine
import Foundation
import Tessera
import TestSupport
import Testing

/// Command lines as users write them.
@Suite(.serialized) struct UsageTests {
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ command: String, _ more: [String]) -> [String] {
        [command, "--model", model, "--size", "192x128", "--steps", "2"] + more
    }

    private func settings(_ path: String) throws -> [String: JSON]? {
        let text = try #require(try PNGImage(file: path).text["tessera"])
        return try JSON(text.utf8, place: "png").object
    }

    /// A mistake gives one line, with the status of a usage error, that says what was meant or where to read more.
    @Test(arguments: [
        (["rendr"], "'rendr' is not a command of tessera. Did you mean 'tessera render'?"),
        (["cluster", "upp"], "Did you mean 'tessera cluster up'?"),
        (["keys", "nwe", "a"], "Did you mean 'tessera keys new'?"),
        (["help", "rendre"], "Did you mean 'tessera render'?"),
        (["paint"], "Its commands are: render, resume"),
        (["render", "--promt", "x"], "Did you mean '--prompt'? See tessera render --help."),
        (["render", "--prompt", "x", "y"], "Unexpected argument 'y'. See tessera render --help."),
        (["render", "--prompt"], "Missing value for '--prompt <prompt>'"),
        (["render", "--prompt", "--steps", "3"], "Missing value for '--prompt <prompt>'"),
        (["render", "--scheduler", "x"], "Please provide one of 'ddim', 'ddpm'"),
        (
            ["render", "--size", "1000"],
            "'--size <WxH>'. Write WIDTHxHEIGHT in pixels, such as 1024x768."
        ),
        (["render", "--size", "0x0"], "Write WIDTHxHEIGHT in pixels, such as 1024x768."),
        (["render", "--size", "512*512"], "Write WIDTHxHEIGHT in pixels, such as 1024x768."),
        (["render", "--ladder", "2x"], "such as 1,2,4, or auto. See"),
        (["render", "--stride", "x"], "or window. See"),
        (["render", "--bind", "x"], "tessera coordinator have it, tessera render does not. See"),
        (
            ["worker", "--connect", "tcp://127.0.0.1:1", "--size", "x"],
            "tessera render, tessera coordinator, tessera plan, tessera submit have it"
        ),
        (["render", "--neg", "x"], "Did you mean '--negative-prompt'? See"),
        (["render", "--width", "4"], "Did you mean '--size WIDTHxHEIGHT'? See"),
        (["render", "-W", "512"], "Did you mean '--size WIDTHxHEIGHT'? See"),
        (["render", "--cfg-scale", "7"], "Did you mean '--guidance'? See"),
        (["render", "--sampler", "x"], "Did you mean '--scheduler'? See"),
        (["render", "--negative_prompt", "x"], "Did you mean '--negative-prompt'? See"),
        (["render", "--batch-count", "2"], "Did you mean '--count'? See"),
        (["render", "--n_iter=2"], "Did you mean '--count'? See"),
        (["plan", "--ckpt", "x"], "Did you mean '--model'? See"),
        (["render", "--lora-scale", "1"], "Did you mean '--lora FILE:WEIGHT'? See"),
        (["coordinator", "--num_inference_steps", "9"], "Did you mean '--steps'? See"),
        (
            ["worker", "--connect", "tcp://127.0.0.1:1", "--cfg-scale", "7"],
            "Unknown option '--cfg-scale'. See"
        ),
        (["render", "--extend", "64"], "left,top,right,bottom, such as 64,0,64,0"),
        (["render", "--extend", "0,0,0,0"], "not all of them 0"),
        (["render", "--seed", "-2"], "The value '-2' is invalid for '--seed <n|-1>'"),
        (["render", "--workers", "0"], "--workers must be from 1 to 256."),
        (["worker"], "Missing expected argument '--connect <endpoint>'"),
        (["resume", "a", "--steps", "3"], "Unknown option '--steps'"),
        // The second part of a split invitation may look like a flag.
        (["join", "tessera://desk:7551#AbC", "-fX"], "the invitation: it contains a space"),
        (["join", "tessera://desk:7551#AbC", "--f_X="], "the invitation: it contains a space"),
        (["join", "tessera://desk:7551", "-fX"], "Unknown option '-fX'"),
        (["join", ""], "the invitation: it is empty"),
        (["join", "-"], "the invitation: standard input has none"),
    ])
    func aMistakeIsOneLine(words: [String], part: String) throws {
        let command = try Command(words)
        #expect(command.status == 64 && command.output.isEmpty, "\(command.output)")
        let lines = command.errors.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 2 && lines.last == "", "\(command.errors)")
        #expect(lines.first?.hasPrefix("tessera: ") == true, "\(command.errors)")
        #expect(lines.first?.contains(part) == true, "\(command.errors)")
    }

    /// Values may begin with a dash, and sizes may be written as we print them.
    @Test func valuesMayBeginWithADash() throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                [
                    "render", "--model", model, "--size", "192×128", "--steps", "2", "--prompt",
                    "-a cat", "--negative-prompt", "-x", "--output", "-out.png",
                ],
                in: folder
            )
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.output == "-out.png\n")
            let found = try settings("\(folder)/-out.png")
            #expect(found?["prompt"] == .string("-a cat"))
            #expect(found?["negative-prompt"] == .string("-x"))
            #expect(found?["size"] == .string("192x128"))
        }
    }

    /// A seed of −1 is random: it is printed, stored, and kept when the render is resumed.
    @Test func aRandomSeedIsReportedAndKept() throws {
        try inTemporaryFolder { folder in
            var seeds: Set<String> = []
            for name in ["a.png", "b.png"] {
                let path = "\(folder)/\(name)"
                let command = try Command(
                    flags("render", ["--prompt", "x", "--seed", "-1", "--output", path])
                )
                #expect(command.status == 0, "\(command.errors)")
                let seed = try #require(try settings(path)?["seed"]?.string)
                #expect(command.errors.split(separator: "\n").contains { $0 == "seed \(seed)" })
                seeds.insert(seed)
            }
            #expect(seeds.count == 2)
            let running = try Command.Running(
                flags("render", ["--prompt", "x", "--seed", "-1", "--output", "\(folder)/c.png"])
                    + ["--steps", "1000", "--job-dir", "\(folder)/a job's"]
            )
            #expect(running.waitFor("seed "))
            // The first step is saved; how far the progress line has got by then depends on the machine.
            let state = "\(folder)/a job's/state.safetensors"
            let end = ContinuousClock.now + .seconds(60)
            while FileKind(state) == nil, ContinuousClock.now < end {
                Thread.sleep(forTimeInterval: 0.01)
            }
            kill(running.process.processIdentifier, SIGINT)
            let stopped = running.finish()
            #expect(stopped.status == 130, "\(stopped.errors)")
            // Quoted so that a shell accepts it as printed.
            let hint = try #require(
                stopped.errors.split(separator: "\n").first { $0.hasPrefix("to continue: ") }
            )
            #expect(hint.hasSuffix("tessera resume '\(folder)/a job'\\''s'"), "\(hint)")
            let record = try String(contentsOfFile: "\(folder)/a job's/job.json", encoding: .utf8)
            let seed = try #require(
                stopped.errors.split(separator: "\n").first { $0.hasPrefix("seed ") }
            ).dropFirst(5)
            #expect(record.contains("--seed=\(seed)"), "\(record)")
        }
    }

    /// A picture is never silently overwritten by the next one.
    @Test func picturesAreNumberedOrReplacedWithANotice() throws {
        try inTemporaryFolder { folder in
            func render(_ prompt: String, _ more: [String] = []) throws -> Command {
                let command = try Command(flags("render", ["--prompt", prompt] + more), in: folder)
                #expect(command.status == 0, "\(command.errors)")
                return command
            }
            #expect(try render("one").output == "out.png\n")
            let second = try render("two")
            #expect(second.output == "out-2.png\n")
            #expect(second.errors.contains("out.png exists: the picture will be out-2.png"))
            #expect(try render("three").output == "out-3.png\n")
            for (name, prompt) in [
                ("out.png", "one"), ("out-2.png", "two"), ("out-3.png", "three"),
            ] {
                #expect(try settings("\(folder)/\(name)")?["prompt"] == .string(prompt))
            }
            let named = try render("four", ["--output", "out.png"])
            #expect(named.output == "out.png\n")
            #expect(named.errors.contains("out.png exists: it will be replaced"))
            #expect(try settings("\(folder)/out.png")?["prompt"] == .string("four"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 3)
        }
    }

    /// Renders that start at the same time do not get the same name.
    @Test func picturesOfTwoRendersAreTwo() throws {
        try inTemporaryFolder { folder in
            let running = try (0..<3).map { seed in
                try Command.Running(
                    flags("render", ["--prompt", "x", "--workers", "1", "--seed", "\(seed)"]),
                    in: folder
                )
            }
            let commands = running.map { $0.finish() }
            #expect(commands.allSatisfy { $0.status == 0 }, "\(commands.map(\.errors))")
            #expect(Set(commands.map(\.output)) == ["out.png\n", "out-2.png\n", "out-3.png\n"])
        }
    }

    @Test func defaultsComeFromTheEnvironment() throws {
        try inTemporaryFolder { folder in
            let environment = [
                "TESSERA_MODEL": model, "TESSERA_SIZE": "192x128", "TESSERA_STEPS": "3",
                "TESSERA_SEED": "7", "TESSERA_KARRAS": "yes", "TESSERA_SCHEDULER": "euler",
                "TESSERA_QUIET": "1",
                // Variables for other commands: a worker would not know what to do with them.
                "TESSERA_KEYS": "/nowhere", "TESSERA_CONNECT": "nonsense",
            ]
            let command = try Command(
                ["render", "--prompt", "x", "--steps", "2", "--output", "\(folder)/out.png"],
                environment: environment
            )
            #expect(command.status == 0 && command.errors.isEmpty, "\(command.errors)")
            let found = try settings("\(folder)/out.png")
            #expect(found?["seed"] == .string("7") && found?["karras"] == .bool(true))
            #expect(found?["steps"]?.integer == 2 && found?["size"] == .string("192x128"))
            for (variable, value, parts) in [
                (
                    "TESSERA_STEPS", "many",
                    ["'many' is invalid for '--steps", "TESSERA_STEPS sets"]
                ),
                ("TESSERA_KARRAS", "maybe", ["TESSERA_KARRAS: 'maybe' is neither yes nor no"]),
            ] {
                let wrong = try Command(
                    ["plan", "--prompt", "x"],
                    environment: environment.merging([variable: value]) { _, new in new }
                )
                #expect(wrong.status == 64 && wrong.complaints.count == 1, "\(wrong.errors)")
                for part in parts {
                    #expect(wrong.errors.contains(part), "\(part) in \(wrong.errors)")
                }
            }
        }
    }

    /// Defaults apply to the command that a person runs, not to what it starts: here, agents and workers that keep
    /// running.
    @Test func defaultsDoNotReachWorkers() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/c.yaml"
            try """
            coordinator: {endpoint: "tcp://127.0.0.1:\(try freePort())"}
            timeouts: {join: 60}
            hosts:
              - name: localhost
            """.write(toFile: file, atomically: true, encoding: .utf8)
            let environment = [
                "XDG_STATE_HOME": "\(folder)/state", "TESSERA_MODEL": model,
                "TESSERA_CLUSTER": file,
                "TESSERA_KEYS": "/nowhere", "TESSERA_COORDINATOR_KEY": "/nowhere",
            ]
            let up = try Command(["cluster", "up"], environment: environment)
            let down = try Command(["cluster", "down"], environment: environment)
            #expect(up.status == 0 && down.status == 0, "\(up.errors)\(down.errors)")
        }
    }

    @Test func helpIsInGroups() throws {
        let help = try Command(["render", "--help"]).output
        let titles = help.split(separator: "\n").map(String.init)
            .filter { $0.hasSuffix(":") && !$0.hasPrefix(" ") }
        #expect(
            titles == [
                "PICTURE:", "MODEL:", "SAMPLING:", "START FROM A PICTURE:",
                "SEVERAL PICTURES:", "REPEAT A PICTURE:", "LARGE PICTURES:", "COMPUTATION:",
                "WORKERS:", "OUTPUT:",
                "SAVING AND RESUMING:", "OPTIONS:",
            ],
            "\(titles)"
        )
        let resume = try Command(["resume", "--help"]).output
        for flag in ["--last", "--workers", "--cluster", "--bind", "--backend", "--output"] {
            #expect(resume.contains(flag), "\(resume)")
        }
    }

    @Test func theManualAndTheCompletionsNameEverything() throws {
        let page = try Command(["manual"]).output
        #expect(page.hasPrefix(".TH TESSERA 1") && page.utf8.allSatisfy { $0 < 128 })
        for part in [
            ".SS tessera render", ".SS tessera cluster up", "\\fB\\-\\-negative\\-prompt\\fR",
            ".I Sampling", "what the model suggests, else 50",
            "\\fB\\-\\-karras\\fR, \\fB\\-\\-no\\-karras\\fR\n",
        ] { #expect(page.contains(part), "\(part)") }
        #expect(!page.contains("tessera agent") && !page.contains("tessera manual"))
        // A flag that turns another one off has no entry of its own with the other's text.
        #expect(!page.contains(".TP\n\\fB\\-\\-no\\-karras"))
        for shell in ["bash", "zsh", "fish"] {
            let script = try Command(["--generate-completion-script", shell])
            #expect(script.status == 0 && script.output.contains("negative-prompt"), "\(shell)")
        }
    }

    /// Everything that takes a path or one of a few words is completed.
    @Test func pathsAndChoicesAreCompleted() throws {
        var completed: Set<String> = []
        for words in [
            ["render"], ["resume"], ["coordinator"], ["worker"], ["plan"], ["inspect"],
            ["keys", "new"], ["keys", "show"], ["cluster", "up"], ["doctor"],
        ] {
            let text = try Command(words + ["--experimental-dump-help"]).output
            let command = try JSON(text.utf8, place: "help").object?["command"]?.object
            for argument in command?["arguments"]?.array?.compactMap(\.object) ?? [] {
                let kind = argument["kind"]?.string
                let name = argument["names"]?.array?.first?.object?["name"]?.string ?? "positional"
                let value = argument["valueName"]?.string ?? ""
                let isPath = ["dir", "file", "path", "png", "yaml", "job"].contains {
                    value.contains($0) || name.contains($0)
                }
                if argument["completionKind"] != nil {
                    completed.insert(name)
                } else {
                    let isFree = !isPath && argument["allValues"] == nil
                    #expect(kind == "flag" || isFree, "\(words) \(name) \(value)")
                }
            }
        }
        for name in [
            "model", "init-image", "mask", "lora", "lora-dir", "tokenizer", "model-config",
            "embedding",
            "job-dir", "keys", "allow", "coordinator-key", "cluster", "scheduler", "method",
            "precision", "output", "positional",
        ] { #expect(completed.contains(name), "\(name)") }
        let script = try Command(["--generate-completion-script", "bash"]).output
        #expect(script.contains("dpmpp_2m") && script.contains("safetensors"))
    }

    /// What `make install` installs for a program that is already built.
    @Test func installsTheManualTheCompletionsAndTheDocuments() throws {
        try inTemporaryFolder { folder in
            let make = try Spawned([
                "make", "-s", "-C", Fixtures.packageRoot, "install-files", "DESTDIR=\(folder)",
                "PREFIX=/usr", "INSTALLED=.build/release/tessera",
            ])
            #expect(make.wait())
            for path in [
                "bin/tessera", "Models/vista/model_index.json",
                "Models/vista-lightning-4step.safetensors", "share/man/man1/tessera.1.gz",
                "share/bash-completion/completions/tessera", "share/zsh/site-functions/_tessera",
                "share/fish/vendor_completions.d/tessera.fish", "share/doc/tessera/deploy.md",
                "share/doc/tessera/systemd/tessera-worker@.service",
            ] {
                let attributes = try? FileManager.default.attributesOfItem(
                    atPath: "\(folder)/usr/\(path)"
                )
                #expect((attributes?[.size] as? Int ?? 0) > 100, "\(path)")
            }
            // The unit's documentation is where the unit says.
            let unit = try String(
                contentsOfFile: "\(Fixtures.packageRoot)/deploy/systemd/tessera-worker@.service",
                encoding: .utf8
            )
            #expect(unit.contains("file:///usr/local/share/doc/tessera/deploy.md"))
        }
    }

    @Test func wordsNearEachOther() {
        #expect(EditDistance.between("render", "render") == 0)
        #expect(EditDistance.between("render", "rendr") == 1)
        #expect(EditDistance.between("render", "redner") == 1)
        #expect(EditDistance.between("", "abc") == 3 && EditDistance.between("abc", "") == 3)
        #expect(EditDistance.between("kitten", "sitting") == 3)
    }
}

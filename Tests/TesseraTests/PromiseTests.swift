import Engine
import Foundation
import TestSupport
import Testing

/// What a render leaves on disk, in its picture and on standard error.
@Suite(.serialized) struct PromiseTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ folder: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", "a prompt", "--negative-prompt", "no rain",
            "--size", "256x192", "--steps", "2", "--seed", "5", "--output", "\(folder)/out.png",
        ] + more
    }

    private func files(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    /// Sockets live in a private directory, which is removed however a render ends. An interrupted render leaves only
    /// its checkpoint, in the user's state directory, and a line that says how to continue.
    @Test(arguments: [nil, SIGINT, SIGTERM, SIGHUP]) func leavesNothingBehind(signal: Int32?) throws
    {
        try inTemporaryFolder { folder in
            // Short enough for a socket path.
            let (runtime, out) = ("/tmp/tess-\(getpid())", "\(folder)/out")
            defer { try? FileManager.default.removeItem(atPath: runtime) }
            let state = "\(folder)/state"
            for path in [runtime, out, state] {
                try FileManager.default.createDirectory(
                    atPath: path,
                    withIntermediateDirectories: false
                )
            }
            let running = try Command.Running(
                flags(out, signal == nil ? [] : ["--steps", "900"]),
                environment: [
                    "XDG_RUNTIME_DIR": runtime, "TMPDIR": runtime, "XDG_STATE_HOME": state,
                ],
                // The tests may run under nohup.
                through: ["env", "--default-signal=HUP"]
            )
            #expect(running.waitFor("phase 1"))
            if let signal {
                #expect(!(try files(in: runtime)).isEmpty, "the socket is elsewhere")
                kill(running.process.processIdentifier, signal)
            }
            let command = running.finish()
            #expect(command.status == (signal == nil ? 0 : 130), "\(command.errors)")
            #expect(try files(in: runtime).isEmpty)
            #expect(try files(in: out) == (signal == nil ? ["out.png"] : []))
            // No job if not even one step was done.
            let kept = "\(state)/tessera/jobs"
            let jobs = FileManager.default.fileExists(atPath: kept) ? try files(in: kept) : []
            #expect(jobs.isEmpty || signal != nil)
            #expect(
                command.errors.components(separatedBy: "tessera resume").count - 1 == jobs.count
            )
            for job in jobs {
                #expect(command.errors.contains("tessera resume \(kept)/\(job)"))
            }
        }
    }

    @Test func thePictureHoldsEverySetting() throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                flags(
                    folder,
                    [
                        "--guidance", "3.5", "--rng", "philox", "--scheduler", "euler", "--karras",
                        "--stride", "6", "--cosine-scales", "2,1.5,1", "--sigma", "0.7",
                        "--ladder", "1,2", "--border", "zeros",
                    ]
                )
            )
            #expect(command.status == 0, "\(command.errors)")
            let text = try PNGImage(file: "\(folder)/out.png").text
            let json = try JSON(try #require(text["tessera"]).utf8, place: "png").object
            let expected: [String: JSON] = try [
                "prompt": .string("a prompt"), "negative-prompt": .string("no rain"),
                "size": .string("256x192"), "seed": .string("5"), "rng": .string("philox"),
                "scheduler": .string("euler"), "karras": .bool(true), "border": .string("zeros"),
                "steps": number("2"), "guidance": number("3.5"), "stride": number("6"),
                "sigma": number("0.7"), "cosine-scales": JSON("[2,1.5,1]".utf8, place: "here"),
                "ladder": JSON("[1,2]".utf8, place: "here"),
            ]
            for (field, value) in expected { #expect(json?[field] == value, "\(field)") }
            #expect(json?["model-digest"]?.string?.count == 64)
            #expect(json?["version"]?.string?.isEmpty == false)
            #expect(json?["prediction"]?.string?.isEmpty == false)
            #expect(
                Set(expected.keys).union([
                    "model", "model-digest", "prediction", "version", "precision", "backend",
                    "device",
                ])
                    == json.map { Set($0.keys) }
            )
            let parameters = try #require(text["parameters"]).split(separator: "\n")
            #expect(parameters.dropFirst().first == "Negative prompt: no rain")
            for part in [
                "Steps: 2", "Sampler: Euler Karras", "CFG scale: 3.5", "Seed: 5", "Size: 256x192",
                "RNG: NV",
            ] {
                #expect(parameters.last?.contains(part) == true, "\(part)")
            }
        }
    }

    private func number(_ text: String) throws -> JSON {
        try JSON(text.utf8, place: "here")
    }

    /// `--save-phases` writes every phase at the size given in the plan.
    @Test func everyPhaseIsSavedAtItsSize() throws {
        try inTemporaryFolder { folder in
            let more = ["--ladder", "1,1.5,2", "--save-phases", "\(folder)/phases"]
            let command = try Command(flags(folder, more))
            #expect(command.status == 0, "\(command.errors)")
            var plan = flags(folder, more)
            plan[0] = "plan"
            let planned = try Command(plan).output.split(separator: "\n").compactMap { line in
                let cells = line.split(separator: " ")
                return cells.first.flatMap { Int($0) } == nil
                    ? nil : String(cells[2].replacing("×", with: "x"))
            }
            let saved = try files(in: "\(folder)/phases").map { name in
                let image = try PNGImage(file: "\(folder)/phases/\(name)")
                return "\(image.width)x\(image.height)"
            }
            #expect(planned.count == 3 && saved == planned)
        }
    }

    /// At guidance 1 the negative prompt has no weight, so it is not evaluated.
    @Test func withoutGuidanceHalfTheCallsAreSaved() throws {
        func calls(_ guidance: String) throws -> Int? {
            var plan = flags("/tmp", ["--guidance", guidance])
            plan[0] = "plan"
            let line = try Command(plan).output.split(separator: "\n")
                .first { $0.hasPrefix("UNet calls") }
            return line?.split(separator: " ").dropFirst(2).first.flatMap { Int($0) }
        }
        let guided = try #require(try calls("7.5"))
        #expect(guided > 0 && guided % 2 == 0)
        #expect(try calls("1") == guided / 2)
        #expect(try calls("0") == guided / 2)
    }

    /// A failure is one line and nothing else.
    @Test(arguments: [
        ["render", "--prompt", "x", "--model", "/nowhere"],
        ["render", "--prompt", "x", "--size", "100x100"],
        ["render", "--prompt", "x", "--lora", "/nowhere"],
        ["render", "--prompt", "x", "--cluster", "/nowhere"],
        ["coordinator", "--prompt", "x", "--bind", "tcp://0.0.0.0:1"],
        ["worker", "--connect", "nonsense"], ["inspect", "/nowhere"],
        ["doctor", "--backend", "openblas", "--precision", "bf16"],
    ])
    func aFailureIsOneLine(arguments: [String]) throws {
        let command = try Command(arguments)
        #expect(command.status == 64, "\(command.errors)")
        let lines = command.errors.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 2 && lines.last == "", "\(command.errors)")
        #expect(lines.first?.hasPrefix("tessera: ") == true, "\(command.errors)")
        #expect(command.output.isEmpty)
    }
}

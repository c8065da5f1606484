import Engine
import Foundation
import TestSupport
import Testing

/// Refinement from the command line: on any workers, interrupted, resumed, planned, from init images, and refused.
@Suite(.serialized) struct RefineTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ folder: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", "a prompt", "--method", "refine", "--size",
            "320x448", "--steps", "4", "--seed", "5", "--output", "\(folder)/out.png",
            "--job-dir", "\(folder)/job",
        ] + more
    }

    private func picture(_ folder: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
    }

    /// Writes a photo of 200×136 pixels.
    private func writePhoto(_ folder: String) throws {
        let writer = try PNGWriter(file: "\(folder)/photo.png", width: 200, height: 136)
        try writer.write(
            rows: (0..<200 * 136 * 3).map { i -> UInt8 in
                let (row, column, channel) = (i / 600, i / 3 % 200, i % 3)
                let level: Int = row + column / 2 + 40 * channel + (row * column) % 23
                return UInt8(level % 256)
            }
        )
        try writer.finish()
    }

    private func render(_ more: [String] = []) throws -> Data {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let command = try Command(
                flags(folder, more.map { $0.replacing("FOLDER", with: folder) })
            )
            #expect(command.status == 0, "\(command.errors)")
            let left = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(left == ["out.png", "photo.png"])
            return try picture(folder)
        }
    }

    /// A picture's text records what its preset decided, and the picture can be repeated with another preset.
    @Test func aPresetIsRepeatedAndReplaced() throws {
        try inTemporaryFolder { folder in
            func command(_ words: [String]) throws -> Command {
                let command = try Command(words)
                #expect(command.status == 0, "\(command.errors)")
                return command
            }
            let picture = "\(folder)/draft.png"
            let size = ["--size", "128x128", "--steps", "4"]
            _ = try command(
                [
                    "render", "--model", model, "--prompt", "a lake", "--preset", "draft",
                    "--output", picture,
                ]
                    + size
            )
            let again = "\(folder)/again.png"
            _ = try command(["render", "--model", model, "--from-png", picture, "--output", again])
            let files = try [picture, again].map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
            #expect(files[0] == files[1])
            func method(_ words: [String]) throws -> [Substring] {
                try command(["plan", "--model", model, "--from-png", picture] + words).row("method")
            }
            #expect(try method([]) == ["refine"])
            #expect(try method(["--preset", "reference"]) == ["demofusion"])
            let plan = try command(["plan", "--model", model, "--prompt", "a lake"] + size)
            for preset in ["draft", "standard", "fine", "reference"] {
                #expect(plan.output.contains("\n\(preset)"), "\(plan.output)")
            }
        }
    }

    /// Non-square sizes, sizes that are not multiples of the native one, and stages that are not whole.
    @Test(arguments: [
        [], ["--size", "1000x640", "--refine-noise", "0", "--stride", "13"],
        ["--size", "264x200", "--scheduler", "euler_a", "--refine-guidance", "3"],
        ["--size", "264x200", "--guidance", "1", "--scheduler", "lcm", "--refine-steps", "1"],
        ["--size", "304x208", "--init-image", "FOLDER/photo.png"],
    ])
    func theSameBytesFromAnyWorkers(more: [String]) throws {
        let one = try render(more + ["--workers", "1", "--threads-per-worker", "2"])
        let three = ["--workers", "3", "--threads-per-worker", "1"]
        #expect(try render(more + three + ["--global-pass", "workers"]) == one)
        guard more.isEmpty else { return }
        #expect(try render(more + ["--workers", "2"]) == one)
    }

    /// The picture differs from DemoFusion's, and every flag changes it.
    @Test func everyFlagChangesThePicture() throws {
        let changes = [
            [], ["--method", "demofusion"], ["--refine-from", "0.3"], ["--refine-steps", "2"],
            ["--refine-noise", "0.4"], ["--refine-guidance", "2"], ["--window-weight", "uniform"],
            ["--stride", "6"], ["--seed", "6"], ["--scheduler", "euler_a"],
        ]
        let pictures = try changes.map { try render(["--size", "256x192"] + $0) }
        #expect(Set(pictures).count == changes.count)
    }

    /// The plan's figures match the render's report, to the byte.
    @Test(arguments: [
        [], ["--size", "1000x640", "--stride", "13"], ["--refine-guidance", "2", "--wire", "f16"],
        ["--guidance", "1", "--refine-steps", "1", "--stride", "5"],
        ["--size", "304x208", "--init-image", "FOLDER/photo.png"],
        ["--size", "160x104", "--init-image", "FOLDER/photo.png"],
    ])
    func thePlanIsWhatIsRendered(more: [String]) throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let rendering = flags(folder, more.map { $0.replacing("FOLDER", with: folder) })
            let planned = try Command(["plan"] + rendering.dropFirst())
            #expect(planned.status == 0, "\(planned.errors)")
            let rendered = try Command(rendering)
            #expect(rendered.status == 0, "\(rendered.errors)")
            let line = try #require(
                rendered.errors.split(separator: "\n").first { $0.contains("UNet calls,") }
            )
            let calls = try #require(try planned.row("UNet calls").first)
            #expect(line.hasPrefix("\(calls) UNet calls, "), "\(planned.output)\(line)")
            let moved = try planned.row("latents moved").prefix(2).joined(separator: " ")
            #expect(line.contains(", \(moved) of latents"), "\(planned.output)\(line)")
            let encoded = try planned.row("encoding").suffix(3).prefix(2).joined(separator: " ")
            #expect(line.contains(", \(encoded) to encode "), "\(planned.output)\(line)")
            let decoded = try planned.row("decoding").suffix(3).prefix(2).joined(separator: " ")
            #expect(line.contains("and \(decoded) of tiles"), "\(planned.output)\(line)")
        }
    }

    @Test func thePlanCanBeMeasured() throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                ["plan"] + flags(folder, ["--measure", "--workers", "1"]).dropFirst()
            )
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.output.contains("(encoding "), "\(command.output)")
        }
    }

    /// Starts a render and waits until it prints `text` and has saved a checkpoint.
    private func begin(
        _ folder: String,
        until text: String,
        _ more: [String] = []
    ) throws -> Command.Running {
        let running = try Command.Running(flags(folder, more))
        #expect(running.waitFor(text), "\(running.errorsSoFar)")
        let state = "\(folder)/job/state.safetensors"
        let deadline = ContinuousClock.now + .seconds(20)
        while !FileManager.default.fileExists(atPath: state), ContinuousClock.now < deadline {
            usleep(2000)
        }
        return running
    }

    /// Killed during an enlargement and during a stage, and resumed on other workers.
    @Test(arguments: ["enlarging", "phase 2/3: "])
    func aKilledCoordinatorIsResumedToTheSameBytes(place: String) throws {
        let more = ["--refine-steps", "12", "--stride", "8"]
        let whole = try render(more)
        try inTemporaryFolder { folder in
            let running = try begin(folder, until: place, more)
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.png"))
            let command = try Command(["resume", "\(folder)/job", "--workers", "3"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("resuming after"))
            #expect(try picture(folder) == whole)
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/job"))
        }
    }

    /// SIGINT cancels at once and says how to continue; the list of jobs shows its progress.
    @Test func anInterruptedStageIsResumed() throws {
        let more = ["--refine-steps", "12", "--stride", "8"]
        let whole = try render(more)
        try inTemporaryFolder { folder in
            let running = try begin(folder, until: "enlarging", more)
            kill(running.process.processIdentifier, SIGINT)
            let interrupted = running.finish()
            #expect(interrupted.status == 130, "\(interrupted.errors)")
            #expect(interrupted.errors.contains("tessera resume \(folder)/job"))
            let command = try Command(["resume", "\(folder)/job"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(try picture(folder) == whole)
        }
    }

    @Test func aKilledWorkerChangesNothing() throws {
        let more = ["--refine-steps", "12", "--stride", "8"]
        let whole = try render(more)
        try inTemporaryFolder { folder in
            let running = try begin(folder, until: "enlarging", more + ["--workers", "3"])
            let victim = try #require(running.children.first)
            #expect(kill(victim, SIGKILL) == 0)
            let command = running.finish()
            #expect(command.status == 0, "\(command.errors)")
            #expect(try picture(folder) == whole)
        }
    }

    @Test func thePictureRecordsTheRefineSettings() throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                flags(
                    folder,
                    ["--size", "256x192", "--refine-noise", "0.5", "--refine-steps", "3"]
                )
            )
            #expect(command.status == 0, "\(command.errors)")
            let image = try PNGImage(file: "\(folder)/out.png")
            let json = try JSON(try #require(image.text["tessera"]).utf8, place: "png").object
            #expect(json?["method"] == .string("refine"))
            for (field, value) in [
                "refine-from": "0.25", "refine-steps": "3", "refine-noise": "0.5",
                "refine-guidance": "1",
            ] {
                #expect(json?[field] == (try JSON(value.utf8, place: "here")), "\(field)")
            }
            let parameters = try #require(image.text["parameters"])
            for part in ["Refine from: 0.25", "Refine steps: 3", "Refine ladder: 1 2"] {
                #expect(parameters.contains(part), "\(parameters)")
            }
            #expect(!parameters.contains("DemoFusion"))
        }
    }

    @Test(arguments: [
        (["--refine-from", "0"], "--refine-from"), (["--refine-from", "1"], "--refine-from"),
        (["--refine-from", "nan"], "--refine-from"), (["--refine-steps", "0"], "--refine-steps"),
        (["--refine-from", "0.002", "--refine-steps", "9"], "--refine-steps"),
        (["--refine-noise", "1.5"], "--refine-noise"),
        (["--refine-noise", "nan"], "--refine-noise"),
        (["--refine-guidance=-1"], "--refine-guidance"),
        (["--refine-guidance", "2", "--guidance", "1"], "--refine-guidance"),
        (["--border", "zeros"], "--border"), (["--skip-below", "0.1"], "--skip-below"),
        (["--stride", "window"], "--stride window"),
        (["--init-image", "FOLDER/photo.png", "--strength", "0.5"], "--strength"),
        (["--init-image", "FOLDER/photo.png", "--fidelity", "1"], "--fidelity"),
        (["--method", "demofusion", "--refine-steps", "2"], "--refine-steps"),
        (["--method", "zoom"], "--method"),
    ])
    func saysInOneLineWhatIsWrong(more: [String], part: String) throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let command = try Command(
                flags(folder, more.map { $0.replacing("FOLDER", with: folder) })
            )
            #expect(command.status == 64, "\(more): \(command.errors)")
            #expect(command.errors.contains(part), "\(command.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.png"))
        }
    }
}

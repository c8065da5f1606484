import Engine
import Foundation
import TestSupport
import Testing

/// Renders from an init image, end to end.
@Suite(.serialized) struct PictureTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ folder: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", "a prompt", "--init-image",
            "\(folder)/photo.png", "--steps", "4", "--seed", "5", "--output", "\(folder)/out.png",
        ] + more
    }

    /// Writes a photo of 200×136 pixels.
    private func writePhoto(_ folder: String, shift: Int = 0) throws {
        let writer = try PNGWriter(file: "\(folder)/photo.png", width: 200, height: 136)
        try writer.write(
            rows: (0..<200 * 136 * 3).map { i in
                let (row, column) = (i / 600, i / 3 % 200)
                return UInt8((row + column / 2 + 40 * (i % 3) + (row * column) % 23 + shift) % 256)
            }
        )
        try writer.finish()
    }

    private func render(_ more: [String]) throws -> Data {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let command = try Command(flags(folder, more))
            #expect(command.status == 0, "\(command.errors)")
            let left = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(left == ["out.png", "photo.png"])
            return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
        }
    }

    /// Encoded and decoded whole and in tiles; the last case consists of tiles alone.
    @Test(arguments: [
        ["--size", "264x200", "--fidelity", "0.5"],
        ["--size", "264x200", "--strength", "0.5", "--fidelity", "0", "--scheduler", "euler_a"],
        ["--size", "1048x1032", "--strength", "0"],
    ])
    func theSameBytesFromAnyWorkers(more: [String]) throws {
        let one = try render(more + ["--workers", "1", "--threads-per-worker", "2"])
        #expect(try render(more + ["--workers", "2"]) == one)
        #expect(try render(more + ["--workers", "3", "--threads-per-worker", "1"]) == one)
    }

    /// A 256×192 picture that a camera stored sideways gives the same result as the upright one.
    @Test func cameraPicturesAreTurnedUpright() throws {
        try inTemporaryFolder { folder in
            let (width, height) = (256, 192)
            func level(_ x: Int, _ y: Int, _ c: Int) -> UInt8 {
                UInt8((x + y / 2 + 40 * c + (x * y) % 23) % 256)
            }
            func write(_ name: String, turned: Bool) throws -> [UInt8] {
                let path = "\(folder)/\(name)"
                let (columns, rows) = turned ? (height, width) : (width, height)
                let writer = try PNGWriter(file: path, width: columns, height: rows)
                try writer.write(
                    rows: (0..<width * height * 3).map { i in
                        let (row, column, c) = (i / 3 / columns, i / 3 % columns, i % 3)
                        // Orientation 6 is rotated clockwise for display.
                        return turned ? level(width - 1 - row, column, c) : level(column, row, c)
                    }
                )
                try writer.finish()
                return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            }
            _ = try write("upright.png", turned: false)
            let exif: [UInt8] = [
                0x4D, 0x4D, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0,
                0,
            ]
            let turned = PNGSums.adding("eXIf", exif, to: try write("turned.png", turned: true))
            try Data(turned).write(to: URL(fileURLWithPath: "\(folder)/turned.png"))
            let results = try ["upright", "turned"].map { name in
                var arguments = flags(folder, ["--strength", "0.5"])
                let at = try #require(arguments.firstIndex(of: "\(folder)/photo.png"))
                arguments[at] = "\(folder)/\(name).png"
                let command = try Command(arguments)
                #expect(command.status == 0, "\(command.errors)")
                return try PNGImage(file: "\(folder)/out.png")
            }
            #expect(results[0].width == width && results[0].height == height)
            // Compared outside the expectation, which would print every pixel of both.
            let areSame = results[0].pixels == results[1].pixels
            #expect(areSame)
        }
    }

    @Test func strengthAndFidelityChangeThePicture() throws {
        let usual = try render(["--size", "264x200"])
        #expect(
            try render(["--size", "264x200", "--strength", "1", "--fidelity", "0.5"]) == usual
        )
        #expect(try render(["--size", "264x200", "--strength", "0.5"]) != usual)
        #expect(try render(["--size", "264x200", "--fidelity", "0.75"]) != usual)
        #expect(try render(["--size", "264x200", "--seed", "6"]) != usual)
    }

    /// The size defaults to the init image's own, and the text names that image.
    @Test func thePictureRecordsItsInitialPicture() throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let command = try Command(flags(folder, ["--strength", "0.75", "--fidelity", "0.5"]))
            #expect(command.status == 0, "\(command.errors)")
            let image = try PNGImage(file: "\(folder)/out.png")
            #expect((image.width, image.height) == (200, 136))
            let json = try JSON(try #require(image.text["tessera"]).utf8, place: "png").object
            let digest = try FileDigest.of("\(folder)/photo.png", cache: nil)
            #expect(json?["init-image-digest"] == .string(digest))
            #expect(json?["init-image"] == .string("photo.png"))
            #expect(json?["strength"] == (try JSON("0.75".utf8, place: "here")))
            #expect(json?["fidelity"] == (try JSON("0.5".utf8, place: "here")))
            let parameters = try #require(image.text["parameters"])
            for part in ["Denoising strength: 0.75", "Fidelity: 0.5", String(digest.prefix(10))] {
                #expect(parameters.contains(part), "\(part)")
            }
        }
    }

    @Test(arguments: [
        ["--size", "264x200", "--fidelity", "0.5"],
        ["--size", "264x200", "--strength", "0.5", "--fidelity", "1", "--wire", "f16"],
        ["--size", "1048x1032", "--strength", "0"],
    ])
    func thePlanIsWhatIsRendered(more: [String]) throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            var plan = flags(folder, more)
            plan[0] = "plan"
            let planned = try Command(plan)
            let rendered = try Command(flags(folder, more))
            #expect(rendered.status == 0, "\(rendered.errors)")
            let line = try #require(
                rendered.errors.split(separator: "\n").first { $0.contains("UNet calls,") }
            )
            let calls = try #require(try planned.row("UNet calls").first)
            #expect(line.hasPrefix("\(calls) UNet calls, "))
            let moved = try planned.row("latents moved").prefix(2).joined(separator: " ")
            #expect(line.contains(", \(moved) of latents"), "\(line)")
            if more.contains("1048x1032") {
                #expect(planned.output.contains("encoding          4 tiles for phase 1"))
            }
            let encoded = try planned.row("encoding").suffix(3).prefix(2).joined(separator: " ")
            #expect(
                line.hasSuffix(", \(encoded) to encode the picture"),
                "\(planned.output)\(line)"
            )
            let decoded = try planned.row("decoding").suffix(3).prefix(2).joined(separator: " ")
            #expect(line.contains("and \(decoded) of tiles"), "\(planned.output)\(line)")
        }
    }

    @Test func thePlanTimesTheEncoder() throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            var plan = flags(folder, ["--size", "264x200", "--measure", "--workers", "1"])
            plan[0] = "plan"
            let command = try Command(plan)
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.output.contains("(encoding "), "\(command.output)")
        }
    }

    /// Killed in a phase that is constrained by the init image, and resumed: the same bytes. With another image in its
    /// place, it is rejected.
    @Test func aKilledRenderIsResumedToTheSameBytes() throws {
        let more = ["--size", "264x200", "--fidelity", "0.5", "--steps", "12"]
        let whole = try render(more)
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            let job = ["--job-dir", "\(folder)/job"]
            let running = try Command.Running(flags(folder, more + job))
            #expect(running.waitFor("phase 2"), "\(running.errorsSoFar)")
            let state = "\(folder)/job/state.safetensors"
            let deadline = ContinuousClock.now + .seconds(20)
            while !FileManager.default.fileExists(atPath: state), ContinuousClock.now < deadline {
                usleep(2000)
            }
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            try writePhoto(folder, shift: 1)
            let refused = try Command(["resume", "\(folder)/job"])
            #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
            #expect(refused.complaints.first?.contains("\(folder)/photo.png") == true)
            try writePhoto(folder)
            let command = try Command(["resume", "\(folder)/job"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("resuming after"))
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
            #expect(bytes == whole)
        }
    }

    /// Recorded noise is added to the init image, too: different noise gives a different result, the same noise the
    /// same one.
    @Test func recordedNoiseIsUsed() throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            var results: [[Float]] = []
            for scale in [1, 1, 2] {
                let inputs = "\(folder)/in.safetensors"
                let noise = TorchRandom.normal(seed: 1, count: 4 * 17 * 25)
                    .map { $0 * Float(scale) }
                try SafeTensors.write(
                    [("base_noise", Tensor(noise, shape: [1, 4, 17, 25]))],
                    to: inputs
                )
                let dump = "\(folder)/dump.safetensors"
                let more = ["--ladder", "1", "--inputs", inputs, "--dump", dump]
                let command = try Command(flags(folder, more))
                #expect(command.status == 0, "\(command.errors)")
                results.append(try SafeTensors(file: dump).tensor("final.0").values)
            }
            #expect(results[0] == results[1] && results[0] != results[2])
        }
    }

    @Test(arguments: [
        (["--strength", "1.5"], "--strength"), (["--strength", "nan"], "--strength"),
        (["--strength", "0.1"], "--strength"), (["--fidelity=-1"], "--fidelity"),
        (["--fidelity", "nan"], "--fidelity"), (["--init-image", "/nowhere.png"], "/nowhere.png"),
        (["--init-image", "/dev/null"], "/dev/null"), (["--init-image", "FOLDER"], "FOLDER"),
        (["--init-image", "FOLDER/text.png"], "FOLDER/text.png"),
        (["--init-image", "FOLDER/short.png"], "FOLDER/short.png"),
        (["--size", "60x60"], "--size"),
    ])
    func saysInOneLineWhatIsWrong(more: [String], part: String) throws {
        try inTemporaryFolder { folder in
            try writePhoto(folder)
            try Data("not a picture".utf8).write(to: URL(fileURLWithPath: "\(folder)/text.png"))
            // Damaged near the end of the file: reported before any worker starts.
            try Data(contentsOf: URL(fileURLWithPath: "\(folder)/photo.png")).dropLast(400)
                .write(to: URL(fileURLWithPath: "\(folder)/short.png"))
            let command = try Command(
                flags(folder, more.map { $0.replacing("FOLDER", with: folder) })
            )
            #expect(command.status == 64, "\(more): \(command.errors)")
            let lines = command.errors.split(separator: "\n")
            #expect(lines.count == 1 && command.complaints.count == 1, "\(command.errors)")
            let place = part.replacing("FOLDER", with: folder)
            #expect(command.complaints.first?.contains(place) == true, "\(command.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/out.png"))
        }
    }

    @Test(arguments: ["--strength", "--fidelity"]) func sharesNeedAPicture(flag: String) throws {
        let command = try Command(["render", "--prompt", "x", "--model", model, flag, "0.5"])
        #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
        #expect(command.complaints.first?.contains("--init-image") == true)
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Prompt files, pictures and paths that are made to break the program, run as a person would.
@Suite struct HostileCommandTests {
    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    private func flags(_ more: [String]) -> [String] {
        [
            "--model", "\(Self.fixtures)/sd15-tiny", "--size", "64x64", "--steps", "2", "--workers",
            "1", "--threads-per-worker", "1",
        ] + more
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func picture(_ key: String, _ text: String, _ path: String) throws {
        let writer = try PNGWriter(file: path, width: 1, height: 1, text: [(key, text)])
        try writer.write(rows: [1, 2, 3])
        try writer.finish()
    }

    private func expectRefused(
        _ command: Command,
        _ parts: String...,
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(
            command.status == 64 && command.complaints.count == 1,
            "\(command.errors)",
            sourceLocation: location
        )
        for part in parts {
            let isThere = command.complaints.first?.contains(part) == true
            #expect(isThere, "\(part): \(command.errors)", sourceLocation: location)
        }
    }

    /// Too many lines are refused at once, and ten thousand are read quickly: the argument parser takes milliseconds
    /// per line.
    @Test func longFilesOfPromptsAreReadQuickly() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            func check(_ lines: [String], _ parts: String...) throws {
                try write(lines.joined(separator: "\n"), file)
                // Takes a fraction of a second; it used to take half a minute.
                let start = ContinuousClock.now
                let refused = try Command(["plan"] + flags(["--prompts", file]))
                #expect(ContinuousClock.now - start < .seconds(12))
                #expect(refused.status == 64 && refused.complaints.count == 1, "\(refused.errors)")
                for part in parts { #expect(refused.errors.contains(part), "\(refused.errors)") }
            }
            let plain = Array(repeating: "a lake", count: 10_001)
            try check(plain, "\(file):10001", "more than 10000 pictures")
            let many = Array(repeating: "--prompt a --n_iter 101", count: 100)
            try check(many, file, "more than 10000 pictures")
            let lines = (0..<9998).map {
                "--prompt \"a lake\" --seed \($0) --negative_prompt b --steps 3"
            }
            try check(plain.prefix(1) + lines + ["--prompt b --steps many"], "\(file):10000")
            let long = "--prompt " + String(repeating: "a", count: 4_000_000)
            try check([long], "\(file):1, --prompt", "4000000 bytes")
            try check(["--\(String(repeating: "a", count: 1_000_000)) 1"], "not a known flag")
        }
    }

    @Test func anEmptyNegativePromptIsTaken() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            let lines = [
                "--prompt \"a lake\" --negative_prompt \"\" --steps 3",
                "--negative_prompt \"\" --prompt \"a house\"",
                "--prompt a --negative_prompt= --seed 4",
                "--prompt b --negative-prompt ''",
            ]
            try write(lines.joined(separator: "\n"), file)
            let plan = try Command(["plan"] + flags(["--prompts", file, "--json"]))
            #expect(plan.status == 0, "\(plan.errors)")
            let groups = try JSON(plan.output.utf8, place: "plan").object?["groups"]?.array ?? []
            #expect(
                groups.compactMap { $0.object?["prompt"]?.string } == [
                    "a lake", "a house", "a", "b",
                ]
            )
            // An empty negative prompt is not the same as none.
            let one = ["--negative-prompt", "", "--prompt", "a lake", "--steps", "3"]
            for (i, more) in [["--prompts", file], one, ["--negative-prompt="] + one.dropFirst(2)]
                .enumerated()
            {
                let name = i == 0 ? "\(folder)/s{index}.png" : "\(folder)/\(i).png"
                let render = try Command(["render"] + flags(more + ["--output", name]))
                #expect(render.status == 0, "\(render.errors)")
            }
            let pictures = ["s1", "1", "2"].map {
                FileManager.default.contents(atPath: "\(folder)/\($0).png")
            }
            #expect(pictures[0] != nil && Set(pictures).count == 1)
            #expect(
                try PNGImage(file: "\(folder)/1.png").text["tessera"]?.contains(
                    "\"negative-prompt\":\"\""
                ) == true
            )
            // The picture can be repeated.
            let again = [
                "--from-png", "\(folder)/1.png", "--model-dir", Self.fixtures, "--workers", "1",
                "--threads-per-worker", "1",
            ]
            let repeated = try Command(["render"] + again + ["--output", "\(folder)/again.png"])
            #expect(repeated.status == 0, "\(repeated.errors)")
            #expect(FileManager.default.contents(atPath: "\(folder)/again.png") == pictures[0])
        }
    }

    /// A NUL would end the picture's record of the prompt.
    @Test func promptsWithNULAreRefused() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            try write("a lake\na\u{0}b\n", file)
            let png = "\(folder)/old.png"
            let text = JSON.object(["prompt": .string("a\u{0}b"), "model": .string("sd15-tiny")])
                .text
            try picture("tessera", text, png)
            try write("a\u{0}b\n", "\(folder)/nul.txt")
            for command in ["plan", "render"] {
                expectRefused(
                    try Command([command] + flags(["--prompts", file]), in: folder),
                    "\(file):2",
                    "NUL"
                )
                expectRefused(
                    try Command([command] + flags(["--from-png", png]), in: folder),
                    "--prompt",
                    "NUL"
                )
                let wild = ["--wildcards", folder, "--prompt", "__nul__"]
                expectRefused(try Command([command] + flags(wild), in: folder), "--prompt", "NUL")
            }
        }
    }

    /// Weights and vectors that overflow are refused by all commands before a render.
    @Test func whatOverflowsIsRefusedFirst() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/huge.safetensors"
            let bytes = Array(repeating: withUnsafeBytes(of: Float(3e38)) { Array($0) }, count: 32)
            try RawTensor.write(
                [
                    "emb_params": RawTensor(
                        type: .float32,
                        shape: [1, 32],
                        bytes: bytes.flatMap(\.self)
                    )
                ],
                to: path
            )
            let digits = String(repeating: "9", count: 400)
            for command in ["plan", "render"] {
                let huge = ["--prompt", "a huge", "--embedding", path]
                expectRefused(try Command([command] + flags(huge), in: folder), path, "3e+38")
                for prompt in [
                    "(a:\(digits))", "(a:1\(String(repeating: "0", count: 30)))", "a :\(digits)",
                ] {
                    let more = ["--prompt", prompt, "--prompt-syntax", "a1111"]
                    expectRefused(
                        try Command([command] + flags(more), in: folder),
                        "--prompt",
                        "-100 to 100"
                    )
                }
            }
            expectRefused(try Command(["inspect", path]), "3e+38")
            let model = "\(Self.fixtures)/sd15-tiny"
            expectRefused(try Command(["inspect", model, "--embedding", path]), "3e+38")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder) == ["huge.safetensors"]
            )
        }
    }

    /// The largest weights do not give NaN or infinity.
    @Test func theLargestWeightsAreRendered() throws {
        try inTemporaryFolder { folder in
            let more = [
                "--prompt", "(a lake:100) (dark:-100)", "--prompt-syntax", "a1111", "--output",
                "\(folder)/a.png",
            ]
            let render = try Command(["render"] + flags(more))
            #expect(render.status == 0, "\(render.errors)")
        }
    }

    /// No file that a render reads is replaced by its result, whatever name it goes by.
    @Test func whatIsReadIsNotReplaced() throws {
        try inTemporaryFolder { folder in
            let photo = "\(folder)/photo.png"
            try FileManager.default.copyItem(
                atPath: "\(Self.fixtures)/inpaint/photo.png",
                toPath: photo
            )
            let mask = "\(folder)/mask.png"
            try FileManager.default.copyItem(
                atPath: "\(Self.fixtures)/inpaint/mask.png",
                toPath: mask
            )
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/link.png",
                withDestinationPath: "photo.png"
            )
            try FileManager.default.linkItem(atPath: photo, toPath: "\(folder)/hard.png")
            let start = ["--prompt", "a", "--init-image", photo, "--mask", mask]
            for output in [
                photo, "\(folder)/./photo.png", "\(folder)/link.png", "\(folder)/hard.png",
            ] {
                for command in ["plan", "render"] {
                    expectRefused(
                        try Command([command] + flags(start + ["--output", output])),
                        "--output",
                        "init image"
                    )
                }
            }
            expectRefused(try Command(["plan"] + flags(start + ["--output", mask])), "the mask")
            let link = ["--prompt", "a", "--init-image", "\(folder)/link.png", "--output", photo]
            expectRefused(try Command(["plan"] + flags(link)), "init image")
            let old = "\(folder)/old.png"
            try picture("tessera", "{\"prompt\": \"a\"}", old)
            let again = ["--from-png", old, "--output", old]
            expectRefused(
                try Command(["render"] + flags(again)),
                "--output",
                "the picture that is repeated"
            )
            // Default names and the names of a series move on to the next number.
            let numbered = [
                "--prompt", "a", "--init-image", photo, "--output", "\(folder)/photo.png",
                "--count", "1",
            ]
            let render = try Command(["render"] + flags(numbered))
            #expect(
                render.status == 0 && render.output == "\(folder)/photo-2.png\n",
                "\(render.errors)"
            )
        }
    }

    /// Escape sequences and line breaks in a picture's text neither reach the terminal nor start a line of their own.
    @Test func textOfPicturesCannotCommandTheTerminal() throws {
        try inTemporaryFolder { folder in
            let evil = "x\u{1B}[31m\u{9B}2J\r\nerror: fake\u{202E}\u{7}"
            let line =
                "Steps: 2, Sampler: Euler, CFG scale: 3, Seed: 1, Size: 64x64, Model: \(JSON.string(evil).text)"
            let node = JSON.object([
                "1": .object(["class_type": .string("KSampler"), "inputs": .object([:])]),
                "2": .object(["class_type": .string(evil), "inputs": .object([:])]),
            ])
            let own = JSON.object([
                "prompt": .string(evil), "model": .string(evil), evil: .null, "vae": .string(evil),
            ])
            for (key, text) in [
                (
                    "parameters",
                    "a \(evil)\n\(line), \(JSON.string("Foo").text): y, Foo: \(JSON.string(evil).text)"
                ),
                ("prompt", node.text), ("tessera", own.text),
            ] {
                let png = "\(folder)/old.png"
                try picture(key, text, png)
                for more in [[], ["--count", "2"], ["--prompt", evil, "--json"]] {
                    let plan = try Command(["plan"] + flags(["--from-png", png] + more))
                    // Something missing is an error for a picture of Tessera, and a warning for others.
                    let start = key == "tessera" ? "tessera: " : "warning: "
                    #expect(plan.errors.contains(start), "\(plan.errors)")
                    for text in [plan.errors, plan.output] {
                        let isHarmless = text.unicodeScalars.allSatisfy {
                            ["\n", "\t"].contains($0) || isHarmlessOnTerminal($0)
                        }
                        #expect(isHarmless || more.contains("--json"), "\(text.debugDescription)")
                        let lines = text.split(separator: "\n")
                        #expect(!lines.contains { $0.hasPrefix("error: fake") }, "\(text)")
                    }
                }
            }
        }
    }

    /// Standard output takes one picture, and a series is refused before anything is rendered.
    @Test func aSeriesDoesNotGoToStandardOutput() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/prompts.txt"
            try write("a lake\n--prompt b --output -\n", file)
            for command in ["plan", "render"] {
                for more in [
                    ["--count", "2"], ["--seeds", "1,2"], ["--prompts", "\(folder)/one.txt"],
                ] {
                    try write("a lake\n", "\(folder)/one.txt")
                    let refused = try Command(
                        [command] + flags(["--prompt", "a", "--output", "-"] + more)
                    )
                    expectRefused(refused, "--output -", "standard output takes one picture")
                    #expect(refused.output.isEmpty)
                }
                let refused = try Command([command] + flags(["--prompts", file]), in: folder)
                expectRefused(refused, "\(file):2, --output -", "standard output takes one picture")
                #expect(refused.output.isEmpty)
            }
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [
                    "one.txt", "prompts.txt",
                ]
            )
        }
    }

    /// Models that take a picture in addition to the latent, and masks, are timed like others.
    @Test(arguments: ["inpaint", "edit", "mask"], ["demofusion", "refine"])
    func guidedModelsAreMeasured(use: String, method: String) throws {
        try inTemporaryFolder { folder in
            for kind in ["sd15", "sdxl"] {
                let model =
                    use == "mask"
                    ? "\(Self.fixtures)/\(kind)-tiny"
                    : try GuidedFixture.assemble(kind, use, in: folder)
                let mask = use == "edit" ? [] : ["--mask", "\(Self.fixtures)/inpaint/mask.png"]
                let plan = try Command(
                    [
                        "plan", "--model", model, "--prompt", "a lake", "--size", "256x256",
                        "--steps", "3",
                        "--method", method, "--init-image", "\(Self.fixtures)/inpaint/photo.png",
                        "--measure",
                        "--workers", "1", "--threads-per-worker", "1", "--json",
                    ] + mask
                )
                #expect(plan.status == 0, "\(kind): \(plan.errors)")
                let report = try JSON(plan.output.utf8, place: "plan").object
                let seconds = report?["seconds"]?.object
                #expect((seconds?["total"]?.number ?? 0) > 0, "\(kind): \(plan.output)")
            }
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Inpainting models and InstructPix2Pix through a coordinator and worker processes, against Diffusers' own pipelines.
@Suite struct GuidedTests {
    private static let photo = "\(GuidedFixture.folder)/photo.png"
    private static let mask = "\(GuidedFixture.folder)/mask.png"
    private static let plain = "\(SingleFileLayout.ownFixtures)/sd15-tiny"

    /// Input flags that a model for this use needs.
    private static func start(_ use: String) -> [String] {
        ["--init-image", photo] + (use == "inpaint" ? ["--mask", mask] : [])
    }

    @Test func thereAreRuns() { #expect(GuidedFixture.all?.runs.count == 15) }

    /// Half of the runs have phase 1 on the workers, with each evaluation of a view computed separately.
    @Test(arguments: GuidedFixture.all?.runs ?? [])
    func rendersLikeDiffusers(run: GuidedFixture.Run) throws {
        let fixture = try #require(GuidedFixture.all)
        try inTemporaryFolder { folder in
            try GuidedFixture.expected().copy(
                [("base_noise", "base_noise")],
                to: "\(folder)/in.safetensors"
            )
            let model = try GuidedFixture.assemble(run.model, run.use, in: folder)
            let share = run.use == "edit" ? "--image-guidance" : "--strength"
            let command = try Command(
                [
                    "render", "--model", model, "--workers", "2", "--prompt", fixture.prompt,
                    "--negative-prompt", fixture.negative, "--size", "128x128", "--steps",
                    "\(run.steps)", "--guidance", "\(run.guidance)", "--scheduler", run.scheduler,
                    share, "\(run.share)", "--inputs", "\(folder)/in.safetensors", "--dump",
                    "\(folder)/out.safetensors", "--output", "\(folder)/out.png", "--global-pass",
                    run.scheduler == "ddim" ? "workers" : "coordinator",
                ] + Self.start(run.use)
            )
            #expect(command.status == 0, "\(command.errors)")
            expectClose(
                try SafeTensors(file: "\(folder)/out.safetensors").tensor("final.0"),
                try GuidedFixture.expected().tensor(run.name),
                within: Tolerance.parity,
                "\(run)"
            )
        }
    }

    /// With both methods, windows and lattices: the same bytes from one worker and from three, and as many UNet calls
    /// as planned. Outside the mask, the pixels are the init image's own.
    @Test(arguments: GuidedFixture.uses, ["demofusion", "refine"])
    func largePicturesAreTheSameFromAnyWorkers(use: String, method: String) throws {
        try inTemporaryFolder { folder in
            let model = try GuidedFixture.assemble("sd15", use, in: folder)
            let flags =
                [
                    "--model", model, "--prompt", "a lake", "--size", "256x256", "--steps", "3",
                    "--guidance", "2", "--method", method, "--seed", "4",
                ] + Self.start(use)
            func calls(_ text: String) throws -> Int? {
                try JSON(text.utf8, place: "json").object?["unet_calls"]?.integer
            }
            let planned = try calls(try Command(["plan"] + flags + ["--json"]).output)
            var pictures: [Data] = []
            for workers in [1, 3] {
                let path = "\(folder)/\(workers).png"
                let command = try Command(
                    ["render"] + flags + ["--workers", "\(workers)", "--output", path, "--json"]
                )
                #expect(command.status == 0, "\(command.errors)")
                #expect(try planned != nil && calls(command.output) == planned)
                pictures.append(try Data(contentsOf: URL(fileURLWithPath: path)))
            }
            #expect(pictures[0] == pictures[1])
            // A different init image gives a different result, in the later phases as well.
            let other = "\(folder)/other.png"
            try FileManager.default.copyItem(atPath: "\(folder)/1.png", toPath: other)
            let command = try Command(
                ["render"] + flags.map { $0 == Self.photo ? other : $0 }
                    + ["--workers", "1", "--output", "\(folder)/changed.png"]
            )
            #expect(command.status == 0, "\(command.errors)")
            let changed = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/changed.png"))
            #expect(changed != pictures[0])
        }
    }

    /// An interrupted render resumes with the same bytes.
    @Test(arguments: GuidedFixture.uses, ["demofusion", "refine"])
    func isResumed(use: String, method: String) throws {
        try inTemporaryFolder { folder in
            let model = try GuidedFixture.assemble("sd15", use, in: folder)
            let arguments =
                [
                    "render", "--model", model, "--workers", "1", "--prompt", "a lake",
                    "--size", "256x256", "--steps", "4", "--method", method, "--guidance", "2",
                    "--seed", "4",
                ] + Self.start(use)
            try expectSameWhenResumed(arguments, in: folder)
        }
    }

    /// A picture from an editing model is repeated from its own text, including its guidance.
    @Test func isRepeated() throws {
        try inTemporaryFolder { folder in
            let model = try GuidedFixture.assemble("sd15", "edit", in: folder)
            let first = "\(folder)/first.png"
            let command = try Command(
                [
                    "render", "--model", model, "--workers", "1", "--prompt", "a lake", "--steps",
                    "2", "--image-guidance", "2.25", "--output", first,
                ] + Self.start("edit")
            )
            #expect(command.status == 0, "\(command.errors)")
            let text = try PNGImage(file: first).text
            #expect(text["parameters"]?.contains("Image CFG scale: 2.25") == true, "\(text)")
            let again = try Command([
                "render", "--from-png", first, "--model", model, "--workers", "1", "--init-image",
                Self.photo, "--output", "\(folder)/again.png",
            ])
            #expect(again.status == 0, "\(again.errors)")
            #expect(
                try PNGImage(file: "\(folder)/again.png").pixels == PNGImage(file: first).pixels
            )
        }
    }

    /// Without a mask an inpainting model paints everything.
    @Test func aMaskMayBeMissing() throws {
        try inTemporaryFolder { folder in
            let model = try GuidedFixture.assemble("sdxl", "inpaint", in: folder)
            let command = try Command([
                "render", "--model", model, "--workers", "1", "--prompt", "a lake", "--steps", "2",
                "--size", "192x128", "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 0, "\(command.errors)")
        }
    }

    /// What `plan`, `render` and `coordinator` refuse before they need workers.
    @Test(
        arguments: [
            ("edit", [], "--init-image"),
            ("edit", ["--init-image", photo, "--mask", mask], "--mask"),
            ("edit", ["--init-image", photo, "--extend", "8,0,0,0"], "--extend"),
            ("edit", ["--init-image", photo, "--strength", "0.5"], "--strength"),
            ("edit", ["--init-image", photo, "--fidelity", "0.5"], "--fidelity"),
            ("edit", ["--init-image", photo, "--image-guidance", "0.5"], "--image-guidance"),
            ("edit", ["--image-guidance", "2"], "--image-guidance"),
            ("plain", ["--init-image", photo, "--image-guidance", "1.5"], "--image-guidance"),
            (
                "inpaint",
                ["--init-image", photo, "--mask", mask, "--image-guidance", "2"],
                "--image-guidance"
            ),
            (
                "edit",
                [
                    "--init-image", photo, "--prompt-syntax", "a1111", "--prompt",
                    Array(repeating: "a", count: 15).joined(separator: " AND "),
                ],
                "at most 14"
            ),
        ] as [(String, [String], String)]
    )
    func refusesBeforeRendering(use: String, flags: [String], words: String) throws {
        try inTemporaryFolder { folder in
            let model =
                use == "plain" ? Self.plain : try GuidedFixture.assemble("sd15", use, in: folder)
            for command in ["plan", "render"] {
                let found = try Command(
                    [command, "--model", model, "--prompt", "a", "--steps", "2"] + flags
                )
                #expect(found.status == 64)
                #expect(found.complaints.count == 1, "\(found.errors)")
                #expect(found.complaints.first?.contains(words) == true, "\(found.errors)")
            }
        }
    }

    /// `inspect` says what such a model is for.
    @Test(arguments: [("inpaint", "paints a masked part"), ("edit", "edits a picture")])
    func isInspected(use: String, words: String) throws {
        try inTemporaryFolder { folder in
            let model = try GuidedFixture.assemble("sd21", use, in: folder)
            for more in [[], ["--json"]] {
                let command = try Command(["inspect", model] + more)
                #expect(command.status == 0 && command.output.contains(words), "\(command.output)")
            }
        }
    }

    /// A UNet that takes the guidance scale as an input has no negative prompt, which AND needs.
    @Test func andNeedsGuidance() throws {
        let kind = try KindFixture.named("lcm")
        try inTemporaryFolder { folder in
            let model = try kind.assemble(in: folder)
            for command in ["plan", "render"] {
                let found = try Command([
                    command, "--model", model, "--prompt", "a AND b", "--prompt-syntax", "a1111",
                ])
                #expect(found.status == 64)
                #expect(
                    found.complaints.first?.contains("AND needs guidance") == true,
                    "\(found.errors)"
                )
            }
        }
    }
}

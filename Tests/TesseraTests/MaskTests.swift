import Engine
import Foundation
import TestSupport
import Testing

/// Renders that change a masked part of a picture, through a coordinator and two worker processes.
@Suite struct MaskTests {
    /// Runs of Diffusers' inpainting pipelines, recorded by Training/reference/make_inpaint_fixtures.py.
    struct Oracle: Decodable {
        struct Run: Decodable, Sendable, CustomStringConvertible {
            let name: String, model: String, scheduler: String
            let steps: Int
            let strength: Double
            var description: String { name }
        }

        let prompt: String, negative: String
        let guidance: Double
        let runs: [Run]

        static let folder = "\(Fixtures.packageRoot)/Tests/Fixtures/inpaint"
        static let all = try? JSONDecoder().decode(
            Oracle.self,
            from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/expected.json"))
        )
    }

    private let photo = "\(Oracle.folder)/photo.png"
    private let mask = "\(Oracle.folder)/mask.png"
    private let model = "\(Fixtures.packageRoot)/Tests/Fixtures/sd15-tiny"

    @Test(arguments: Oracle.all?.runs ?? [])
    func rendersLikeDiffusers(run: Oracle.Run) throws {
        let oracle = try #require(Oracle.all)
        let expected = try SafeTensors(file: "\(Oracle.folder)/expected.safetensors")
        try inTemporaryFolder { folder in
            try expected.copy([("base_noise", "base_noise")], to: "\(folder)/in.safetensors")
            let command = try Command([
                "render", "--model", "\(Fixtures.packageRoot)/Tests/Fixtures/\(run.model)",
                "--workers", "2", "--prompt", oracle.prompt, "--negative-prompt", oracle.negative,
                "--size", "128x128", "--steps", "\(run.steps)", "--guidance", "\(oracle.guidance)",
                "--scheduler", run.scheduler, "--strength", "\(run.strength)",
                "--init-image", photo, "--mask", mask,
                "--inputs", "\(folder)/in.safetensors", "--dump", "\(folder)/out.safetensors",
                "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 0, "\(command.errors)")
            expectClose(
                try SafeTensors(file: "\(folder)/out.safetensors").tensor("final.0"),
                try expected.tensor(run.name),
                within: Tolerance.parity,
                "\(run)"
            )
        }
    }

    @Test func thereAreRuns() { #expect(Oracle.all?.runs.count == 10) }

    /// With both methods, several phases and windows: pixels outside the mask are exactly the init image's, those
    /// inside are not; the same bytes with one worker and with three.
    @Test(arguments: ["demofusion", "refine"]) func keepsWhatIsNotMasked(method: String) throws {
        try inTemporaryFolder { folder in
            var pictures: [[UInt8]] = []
            for workers in [1, 3] {
                let command = try Command([
                    "render", "--model", model, "--workers", "\(workers)", "--prompt", "a lake",
                    "--size", "256x256", "--steps", "3", "--guidance", "2", "--method", method,
                    "--init-image", photo, "--mask", mask, "--seed", "4",
                    "--output", "\(folder)/\(workers).png",
                ])
                #expect(command.status == 0, "\(command.errors)")
                pictures.append(try PNGImage(file: "\(folder)/\(workers).png").pixels)
            }
            #expect(pictures[0] == pictures[1])
            // The reference is the scaled picture itself, not a render of it: even at strength 0 a render passes
            // through the VAE.
            let whole = try ScaledPicture(
                PictureFile(photo),
                frame: PictureFrame(rows: 0..<128, columns: 0..<128),
                height: 256,
                width: 256
            )
            let rows = PixelDepth.eight.bytes(
                try whole.part(Region(rows: 0..<256, columns: 0..<256))
            )
            var (kept, changed, area) = (0, 0, 0)
            for y in 0..<256 {
                for x in 0..<256 {
                    let isMasked = (80..<208).contains(y) && (32..<176).contains(x)
                    let at = 3 * (y * 256 + x)
                    let isSame = pictures[0][at..<at + 3] == rows[at..<at + 3]
                    if isMasked {
                        area += 1
                        changed += isSame ? 0 : 1
                    } else if !isSame {
                        kept += 1
                    }
                }
            }
            #expect(kept == 0, "\(kept) pixels outside the mask differ")
            #expect(changed > area * 3 / 4, "\(changed) of \(area)")
        }
    }

    /// An interrupted render resumes with the same bytes.
    @Test(arguments: ["demofusion", "refine"]) func isResumed(method: String) throws {
        try inTemporaryFolder { folder in
            let arguments = [
                "render", "--model", model, "--workers", "1", "--prompt", "a lake",
                "--size", "256x256", "--steps", "4", "--method", method, "--guidance", "1",
                "--init-image", photo, "--mask", mask, "--seed", "4",
            ]
            try expectSameWhenResumed(arguments, in: folder)
        }
    }

    /// A picture is extended: its own pixels stay, and the new area is painted.
    @Test func extendsAPicture() throws {
        try inTemporaryFolder { folder in
            let command = try Command([
                "render", "--model", model, "--workers", "1", "--prompt", "a lake", "--steps", "3",
                "--init-image", photo, "--extend", "40,0,24,16", "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 0, "\(command.errors)")
            let found = try PNGImage(file: "\(folder)/out.png")
            #expect((found.width, found.height) == (192, 144))
            let own = try PNGImage(file: photo)
            for y in 0..<128 {
                let from = 3 * (y * 192 + 40)
                #expect(
                    found.pixels[from..<from + 3 * 128]
                        == own.pixels[3 * y * 128..<3 * (y + 1) * 128]
                )
            }
            let text = try #require(found.text["tessera"])
            #expect(text.contains("\"extend\":\"40,0,24,16\""), "\(text)")
        }
    }

    @Test(
        arguments: [
            (["--mask", "MASK"], "--mask: it needs an init image"),
            (["--init-image", "PHOTO", "--mask", "MASK", "--fidelity", "0.5"], "--fidelity"),
            (["--init-image", "PHOTO", "--mask", "MASK", "--strength", "0"], "--strength"),
            (["--init-image", "PHOTO", "--mask", "/nothing.png"], "/nothing.png"),
            (["--init-image", "PHOTO", "--extend", "1,2,3"], "--extend"),
        ] as [([String], String)]
    )
    func refusesBeforeRendering(flags: [String], place: String) throws {
        let given = flags.map { $0 == "MASK" ? mask : $0 == "PHOTO" ? photo : $0 }
        for command in ["plan", "render"] {
            let found = try Command(
                [command, "--model", model, "--prompt", "a", "--steps", "2"] + given
            )
            #expect(found.status == 64)
            #expect(found.errors.contains(place), "\(found.errors)")
        }
    }
}

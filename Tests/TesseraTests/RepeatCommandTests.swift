import ArgumentParser
import Coordinator
import Engine
import Foundation
import Sampling
import Tessera
import TestSupport
import Testing

/// `--from-png`: a picture is rendered again from its own text.
@Suite struct RepeatCommandTests {
    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    private func flags(_ folder: String, _ name: String, _ more: [String]) -> [String] {
        [
            "render", "--workers", "1", "--threads-per-worker", "1", "--output",
            "\(folder)/\(name).png",
        ]
            + more
    }

    /// Renders a picture, repeats it from the file alone, and compares bytes.
    private func expectRepeated(_ more: [String], _ again: [String] = []) throws {
        try inTemporaryFolder { folder in
            let first = try Command(flags(folder, "first", more))
            #expect(first.status == 0, "\(first.errors)")
            let second = try Command(
                flags(
                    folder,
                    "second",
                    ["--from-png", "\(folder)/first.png", "--model-dir", Self.fixtures]
                )
                    + again,
                in: folder
            )
            #expect(second.status == 0 && !second.errors.contains("warning"), "\(second.errors)")
            let pictures = ["first", "second"].map {
                FileManager.default.contents(atPath: "\(folder)/\($0).png")
            }
            #expect(pictures[0] != nil && pictures[0] == pictures[1], "\(more)")
        }
    }

    private static let common = [
        "--model", "\(fixtures)/sd15-tiny", "--prompt", "a lake", "--steps", "3",
    ]

    @Test(arguments: [
        [
            "--size", "128x128", "--seed", "18446744073709551615", "--negative-prompt",
            "-grey, \"x\"",
        ],
        [
            "--size", "128x96", "--stride", "window", "--skip-below", "0.1", "--sigma", "1.5",
            "--cosine-scales", "2,1.5,1", "--ladder", "1,2", "--wire", "f16", "--rng", "philox",
            "--guidance", "3.3", "--guidance-interval", "0.3,8", "--decode-margin", "1",
        ],
        ["--size", "64x64", "--scheduler", "euler", "--karras", "--bit-depth", "16"],
        [
            "--size", "64x64", "--scheduler", "dpmpp_2m", "--sigmas", "exponential", "--border",
            "zeros", "--upscale-mode", "image",
        ],
        [
            "--size", "64x64", "--scheduler", "euler", "--sgm-uniform", "--clip-skip", "2",
            "--precision", "f32",
        ],
        ["--size", "128x128", "--method", "refine", "--refine-steps", "2", "--refine-from", "0.5"],
        ["--size", "64x64", "--prediction", "v_prediction", "--backend", "openblas"],
    ])
    func aPictureIsRepeated(more: [String]) throws {
        try expectRepeated(Self.common + more)
    }

    @Test func adaptersAndTagsAreRepeated() throws {
        let lora = "\(Self.fixtures)/adapters/sd15-loha.safetensors"
        let folder = ["--lora-dir", "\(Self.fixtures)/adapters"]
        try expectRepeated(
            [
                "--model", "\(Self.fixtures)/sd15-tiny", "--size", "64x64", "--steps", "2",
                "--prompt", "a (lake:1.3) [x:y:0.5] <lora:sd15-lokr:0.5>", "--prompt-syntax",
                "a1111",
                "--lora", "\(lora):0.5:te=0.25",
            ] + folder,
            folder
        )
    }

    @Test func anInitImageIsRepeated() throws {
        try inTemporaryFolder { folder in
            let photo = "\(folder)/photo.png"
            let source = try Command(flags(folder, "photo", Self.common + ["--size", "64x64"]))
            #expect(source.status == 0, "\(source.errors)")
            let more =
                Self.common + ["--init-image", photo, "--strength", "0.67", "--fidelity", "0.2"]
            let first = try Command(flags(folder, "first", more))
            #expect(first.status == 0, "\(first.errors)")
            let again = ["--from-png", "\(folder)/first.png", "--model-dir", Self.fixtures]
            let second = try Command(flags(folder, "second", again))
            #expect(second.status == 0, "\(second.errors)")
            let pictures = ["first", "second"].map {
                FileManager.default.contents(atPath: "\(folder)/\($0).png")
            }
            #expect(pictures[0] != nil && pictures[0] == pictures[1])
            try FileManager.default.removeItem(atPath: photo)
            let refused = try Command(flags(folder, "third", again))
            #expect(refused.status == 64 && refused.complaints.first?.contains("photo.png") == true)
        }
    }

    /// Flags override the picture's text, which overrides the environment; another model gives a warning.
    @Test func flagsOverrideWhatThePictureSays() throws {
        try inTemporaryFolder { folder in
            let first = try Command(flags(folder, "first", Self.common + ["--size", "64x64"]))
            #expect(first.status == 0, "\(first.errors)")
            let again = ["--from-png", "\(folder)/first.png", "--model-dir", Self.fixtures]
            let changed = try Command(
                flags(folder, "changed", again + ["--steps", "2", "--seed", "4"]),
                environment: ["TESSERA_STEPS": "9", "TESSERA_GUIDANCE": "3"]
            )
            let direct = try Command(
                flags(
                    folder,
                    "direct",
                    Self.common + ["--size", "64x64", "--seed", "4", "--steps", "2"]
                )
            )
            #expect(changed.status == 0 && direct.status == 0, "\(changed.errors)")
            let pictures = ["changed", "direct"].map {
                FileManager.default.contents(atPath: "\(folder)/\($0).png")
            }
            #expect(pictures[0] == pictures[1])
            let other = try Command(
                flags(folder, "other", again + ["--model", "\(Self.fixtures)/sd21-tiny"])
            )
            #expect(other.status == 0, "\(other.errors)")
            #expect(
                other.errors.contains("warning: it was made with the model 'sd15-tiny'"),
                "\(other.errors)"
            )
            // A series can be made of it.
            let plan = try Command(["plan"] + again + ["--count", "3", "--json"])
            #expect(plan.output.contains("\"pictures\":3"), "\(plan.errors)")
        }
    }

    /// Every setting recorded in a picture's text can be read back as flags, so a new one cannot be forgotten.
    @Test func everySettingIsReadBackFromAPicture() throws {
        for setting in Settings.all where setting.name != Settings.globalPass.name {
            let words = try #require(SettingFlagTests.words[setting.name], "\(setting.name)")
            func settings(_ words: [String]) throws -> RenderSettings {
                var settings = RenderSettings(
                    size: Settings.size.defaultValue,
                    scheduler: Settings.scheduler.defaultValue
                )
                let flags = try PictureFlags.parse(["--init-image", "x.png"] + words)
                try flags.options().settings.apply(to: &settings)
                // As every render does.
                settings.windowWeight = settings.fusionWeight
                settings.frame = PictureFrame(ofHeight: 8, width: 8, covering: (8, 8), slack: 1)
                return settings
            }
            var first = try settings(["--\(setting.name)"] + words)
            if setting.onlyMethod(in: first) == .refine {
                first = try settings(["--\(setting.name)"] + words + ["--method", "refine"])
            }
            let back = try inTemporaryFolder { folder in
                let path = "\(folder)/old.png"
                let text = JSON.object(first.json).text
                let writer = try PNGWriter(
                    file: path,
                    width: 1,
                    height: 1,
                    text: [("tessera", text)]
                )
                try writer.write(rows: [1, 2, 3])
                try writer.finish()
                let request = PictureRecipe.Request(path: path, given: ["init-image"])
                return try settings(PictureRecipe(request).arguments)
            }
            for other in Settings.all where other.name != Settings.globalPass.name {
                #expect(
                    other.json(of: back) == other.json(of: first),
                    "\(other.name), where \(setting.name) is \(words)"
                )
            }
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Pictures in every format, from the command line.
@Suite struct OutputFormatTests {
    private let flags = [
        "--model", "\(Fixtures.packageRoot)/Tests/Fixtures/sd15-tiny", "--prompt", "a lake, ☾",
        "--size", "64x72", "--steps", "1", "--workers", "1", "--checkpoint-every", "0",
    ]

    private func values(_ path: String) throws -> [Float] {
        var values: [Float] = []
        try PictureFile(path).rows { values += $0 }
        return values
    }

    /// The same picture, as close as the format allows, with the same text.
    @Test(arguments: ["jpg", "webp", "tif"]) func writesEveryFormat(name: String) throws {
        try inTemporaryFolder { folder in
            let (exact, other) = ("\(folder)/a.png", "\(folder)/a.\(name)")
            for path in [exact, other] {
                let command = try Command(["render"] + flags + ["--output", path])
                #expect(command.status == 0, "\(command.errors)")
                #expect(command.output == "\(path)\n")
            }
            let (a, b) = (try values(exact), try values(other))
            #expect(a.count == b.count)
            let error = zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(a.count)
            // As much as Pillow changes this noise at quality 90: WebP halves the chroma resolution.
            let limits: [String: Float] = ["tif": 1e-4, "jpg": 0.025, "webp": 0.066]
            #expect(error < limits[name] ?? 0, "\(error)")
            let (wanted, found) = (
                try PictureMetadata(file: exact).text, try PictureMetadata(file: other).text
            )
            #expect(wanted["parameters"] != nil && found["parameters"] == wanted["parameters"])
            #expect(found["Software"] == wanted["Software"])
            #expect(wanted["tessera"] != nil && found["tessera"] == wanted["tessera"])
        }
    }

    /// A picture in any format is repeated from its file alone: the same bytes in the same format, whatever its
    /// quality, and the same as a PNG. The line of settings alone could not hold all of these settings.
    @Test(arguments: ["png", "jpg", "webp", "tif"]) func everyFormatIsRepeated(name: String) throws
    {
        try inTemporaryFolder { folder in
            let more =
                [
                    "--method", "refine", "--refine-steps", "2", "--decode-margin", "1",
                    "--guidance", "3", "--wire",
                    "f16", "--prompt-syntax", "a1111", "--size", "128x128", "--steps", "2",
                    "--workers", "1",
                    "--model", "\(Fixtures.packageRoot)/Tests/Fixtures/sd15-tiny", "--prompt",
                    "a (lake:1.2)",
                ] + (["jpg", "webp"].contains(name) ? ["--quality", "55"] : [])
            func render(_ flags: [String], _ output: String) throws -> Data? {
                let path = "\(folder)/\(output)"
                let command = try Command(["render"] + flags + ["--output", path])
                #expect(
                    command.status == 0 && !command.errors.contains("warning"),
                    "\(command.errors)"
                )
                return FileManager.default.contents(atPath: path)
            }
            let first = try render(more, "first.\(name)")
            let again = [
                "--from-png", "\(folder)/first.\(name)", "--workers", "1", "--model-dir",
                "\(Fixtures.packageRoot)/Tests/Fixtures",
            ]
            #expect(try first != nil && render(again, "second.\(name)") == first)
            let exact = try render(
                more.filter { !["--quality", "55"].contains($0) },
                "exact.png"
            )
            #expect(try render(again, "exact-again.png") == exact)
        }
    }

    /// A 16-bit picture can be repeated in an 8-bit format.
    @Test func bitsAreThoseOfTheFormat() throws {
        try inTemporaryFolder { folder in
            let first = try Command(
                ["render"] + flags + ["--output", "\(folder)/a.tif", "--bit-depth", "16"]
            )
            #expect(first.status == 0, "\(first.errors)")
            let again = [
                "render", "--from-png", "\(folder)/a.tif", "--workers", "1", "--model-dir",
                "\(Fixtures.packageRoot)/Tests/Fixtures",
            ]
            for (name, depth) in [("b.tif", 16), ("b.png", 16), ("b.jpg", 8)] {
                let path = "\(folder)/\(name)"
                let command = try Command(again + ["--output", path])
                #expect(command.status == 0, "\(command.errors)")
                #expect(try PictureMetadata(file: path).depth == depth)
            }
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.tif"))
                    == Data(contentsOf: URL(fileURLWithPath: "\(folder)/b.tif"))
            )
        }
    }

    /// Text that would be lost is refused before rendering.
    @Test func longTextsAreRefused() throws {
        let words = String(repeating: "lake ", count: 5000)
        for name in ["a.jpg", "a.webp"] {
            let command = try Command(
                ["plan"] + flags + ["--output", name, "--negative-prompt-2", words]
                    + ["--model", "\(Fixtures.packageRoot)/Tests/Fixtures/sdxl-tiny"]
            )
            #expect(command.status == 64)
        }
    }

    /// Standard output gets the picture and nothing else.
    @Test(arguments: ["png", "jpeg", "webp", "tiff"]) func writesToStandardOutput(
        format: String
    ) throws {
        try inTemporaryFolder { folder in
            let command = try Command(
                ["render"] + flags + ["--output", "-", "--format", format],
                through: Command.shell("> \(folder)/out")
            )
            #expect(command.status == 0, "\(command.errors)")
            let named = try Command(
                ["render"] + flags + ["--output", "\(folder)/named", "--format", format]
            )
            #expect(named.status == 0, "\(named.errors)")
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out"))
                    == Data(contentsOf: URL(fileURLWithPath: "\(folder)/named"))
            )
        }
    }

    @Test(
        arguments: [
            (["--output", "a.webp", "--size", "16384x64"], "at most 16383 pixels a side"),
            (["--output", "a.jpg", "--size", "65504x64"], "at most 65500 pixels a side"),
            (["--output", "a.jpg", "--bit-depth", "16"], "8 bits per channel"),
            (["--output", "a.png", "--quality", "80"], "is lossless"),
            (["--output", "a.jpg", "--format", "webp"], "extension is not that of --format webp"),
            (["--output", "a.gif"], "Use .png, .tif, .jpg or .webp"),
            (["--output", "a.jpg", "--quality", "0"], "--quality must be from 1 to 100"),
        ] as [([String], String)]
    )
    func refusesBeforeRendering(more: [String], reason: String) throws {
        for command in ["plan", "render"] {
            let found = try Command([command] + flags + more)
            #expect(found.status == 64)
            #expect(found.errors.contains(reason), "\(found.errors)")
        }
    }
}

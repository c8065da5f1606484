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

    /// The same picture, as close as the format keeps it, with the same text.
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
            // As much as Pillow changes this noise at quality 90: WebP halves the resolution of colours.
            let limits: [String: Float] = ["tif": 1e-4, "jpg": 0.025, "webp": 0.066]
            #expect(error < limits[name] ?? 0, "\(error)")
            let (wanted, found) = (
                try PictureMetadata(file: exact).text, try PictureMetadata(file: other).text
            )
            #expect(wanted["parameters"] != nil && found["parameters"] == wanted["parameters"])
            #expect(found["Software"] == wanted["Software"])
            if name != "tif" { #expect(found["tessera"] == wanted["tessera"]) }
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
            (["--output", "a.png", "--quality", "80"], "loses nothing"),
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

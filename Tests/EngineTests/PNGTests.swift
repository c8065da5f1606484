import Engine
import Foundation
import TestSupport
import Testing

@Suite struct PNGTests {
    @Test func readsWhatItWrites() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.png"
            let pixels = (0..<(7 * 5 * 3)).map { UInt8(($0 * 37) % 256) }
            let text = [("parameters", "a — “prompt”\nSteps: 3"), ("plain", "ASCII")]
            let writer = try PNGWriter(file: file, width: 7, height: 5, text: text)
            #expect(!FileManager.default.fileExists(atPath: file))
            try writer.write(rows: Array(pixels[..<42]))
            try writer.write(rows: Array(pixels[42...]))
            try writer.finish()
            let image = try PNGImage(file: file)
            #expect((image.width, image.height) == (7, 5))
            #expect(image.pixels == pixels)
            #expect(image.text["parameters"] == "a — “prompt”\nSteps: 3")
            #expect(image.text["plain"] == "ASCII")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.png"])
        }
    }

    @Test func abandonedFilesLeaveNothing() throws {
        try inTemporaryFolder { folder in
            do {
                let writer = try PNGWriter(file: "\(folder)/a.png", width: 2, height: 2)
                try writer.write(rows: [UInt8](repeating: 9, count: 6))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test func aFullDiskIsOneClearError() {
        #expect(throws: OutputError.self) {
            let writer = try PNGWriter(file: "/proc/tessera.png", width: 1, height: 1)
            try writer.finish()
        }
    }

    /// Thousands of damaged files: each is read or refused, none crashes.
    @Test func survivesDamagedFiles() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.png"
            let writer = try PNGWriter(
                file: file,
                width: 16,
                height: 16,
                text: [("parameters", "hello")]
            )
            try writer.write(rows: (0..<768).map { UInt8($0 % 251) })
            try writer.finish()
            let whole = try Data(contentsOf: URL(fileURLWithPath: file))
            var mutator = Mutator(seed: 1)
            var refused = 0
            for _ in 0..<2000 {
                try Data(mutator.mutate(Array(whole))).write(to: URL(fileURLWithPath: file))
                do { _ = try PNGImage(file: file) } catch is InputError { refused += 1 }
            }
            #expect(refused > 1000)
        }
    }

    /// A header that claims a gigantic picture costs nothing.
    @Test func refusesGiganticPictures() throws {
        try inTemporaryFolder { folder in
            var bytes: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13]
            let header: [UInt8] =
                Array("IHDR".utf8) + [0, 0x70, 0, 0, 0, 0x70, 0, 0, 8, 2, 0, 0, 0]
            bytes += header
            let crc = crc32(header)
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: crc >> (24 - 8 * UInt32($0))) }
            bytes += [0, 0, 0, 0] + Array("IDAT".utf8) + [0x35, 0xAF, 0x06, 0x1E]
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/a.png"))
            #expect(throws: InputError.self) { try PNGImage(file: "\(folder)/a.png") }
        }
    }

    private func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { c, _ in
                c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1
            }
        }
    }
}

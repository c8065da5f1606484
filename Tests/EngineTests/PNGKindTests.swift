import CPNG
import Engine
import Foundation
import TestSupport
import Testing

/// Pictures that other programs wrote, and the C boundary itself.
@Suite struct PNGKindTests {
    /// A device that is always full.
    @Test func aFullDiskIsReported() throws {
        let descriptor = open("/dev/full", O_WRONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let writer = try #require(tessera_png_writer_open(descriptor, 1, 1, 8))
        defer { tessera_png_writer_close(writer) }
        #expect(tessera_png_writer_begin(writer) == 0)
        #expect(tessera_png_writer_rows(writer, [1, 2, 3], 1, 3) == 0)
        #expect(tessera_png_writer_end(writer) == -1)
        let reason = String(cString: tessera_png_writer_error(writer))
        #expect(reason == String(cString: strerror(ENOSPC)))
    }

    /// Pictures of other kinds, assembled with Python's zlib, and their pixels as RGB.
    static let kinds: [(kind: String, base64: String, pixels: [UInt8])] = [
        (
            "1-bit grey",
            "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAQAAAAC1D1u3AAAADElEQVR42mNYwOAAAAIkAOFNFuheAAAAAElFTkSu"
                + "QmCC",
            [255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0]
        ),
        (
            "16-bit grey",
            "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABEAAAAACB2fwVAAAADUlEQVR42mMQMvn/HwAD5gJF8RyEZQAAAABJRU5E"
                + "rkJggg==",
            [18, 18, 18, 255, 255, 255]
        ),
        (
            "2-bit palette with transparency",
            "iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAgMAAABmjvwnAAAACVBMVEX/AAAA/wAAAP8tSs2KAAAAAnRSTlMAgJsr"
                + "ThgAAAAKSURBVHjaY5AAAAAaABmAAI67AAAAAElFTkSuQmCC",
            [255, 0, 0, 0, 255, 0, 0, 0, 255]
        ),
        (
            "interlaced RGBA",
            "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAAEFsT2yAAAAG0lEQVR42mNgZGJmYWBlY+dg4OTi5uHl4xcAAANx"
                + "AIlzZY1PAAAAAElFTkSuQmCC",
            [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]
        ),
    ]

    @Test(arguments: kinds)
    func everyKindBecomesRGB(_ kind: String, _ base64: String, _ pixels: [UInt8]) throws {
        #expect(try read(base64).pixels == pixels, "\(kind)")
    }

    /// The suggested command to convert a HEIC whose name ends in .png does not overwrite the file itself.
    @Test(arguments: [("lies.png", "lies-2.png"), ("photo.heic", "photo.png")])
    func aConvertedPictureHasAnotherName(name: String, converted: String) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/\(name)"
            try Data([0, 0, 0, 24] + Array("ftypheic".utf8) + Array(repeating: 0, count: 52))
                .write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: InputError.self) { try PictureFile(path) }
            let remedy = error?.remedy ?? ""
            #expect(remedy.hasSuffix("convert \(path) \(folder)/\(converted)"), "\(remedy)")
            #expect(remedy.contains("magick"))
        }
    }

    @Test func compressedTextIsRead() throws {
        let image = try read(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAAEHpUWHRrAAB4nMtLfF+WCgAHzQKaK9fUFwAAABdp"
                + "VFh0dQABAGRlAHgAeJx7Nnfjk11rABALBH9uEI7JAAAADElEQVR42mNgZGIGAAAOAAfpkjfUAAAAAElFTkSu"
                + "QmCC"
        )
        #expect(image.text == ["k": "naïve", "u": "東京"])
    }

    /// 81 bytes that claim 16384 × 16384 pixels.
    @Test func aSmallFileCannotClaimAHugePicture() {
        let error = #expect(throws: InputError.self) {
            _ = try read(
                "iVBORw0KGgoAAAANSUhEUgAAQAAAAEAACAIAAAAmqofTAAAADElEQVR42mNgoD0AAABkAAG4me+ZAAAAAElFTkSu"
                    + "QmCC"
            )
        }
        #expect(error?.problem.contains("too short for 16384×16384") == true)
    }

    /// Damage with valid checksums, so that it reaches the code behind them.
    @Test func survivesDamageThatChecksumsHide() throws {
        let whole = try #require(Data(base64Encoded: Self.kinds[2].base64))
        try inTemporaryFolder { folder in
            var mutator = Mutator(seed: 6)
            var refused = 0
            for i in 0..<3000 {
                let file = "\(folder)/\(i).png"
                let bytes = PNGSums.mended(mutator.mutate(Array(whole)))
                try Data(bytes).write(to: URL(fileURLWithPath: file))
                do {
                    let image = try PNGImage(file: file)
                    #expect(image.pixels.count == 3 * image.width * image.height)
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 1000 && refused < 3000)
        }
    }

    private func read(_ base64: String) throws -> PNGImage {
        try inTemporaryFolder { folder in
            let data = try #require(Data(base64Encoded: base64))
            try data.write(to: URL(fileURLWithPath: "\(folder)/a.png"))
            return try PNGImage(file: "\(folder)/a.png")
        }
    }
}

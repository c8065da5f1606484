import Engine
import Foundation
import TestSupport
import Testing

/// JPEG, WebP and TIFF files written by Tests/photos.py, with the pixels that Pillow, or arithmetic, says they show.
struct PhotoFixtures {
    struct Photo: Decodable {
        let width: Int, height: Int
        /// Rows of red, green and blue, 16 bits each, little-endian.
        let values: Data
    }

    static let folder = "\(Fixtures.packageRoot)/Tests/Fixtures/photos"
    static let all = try? JSONDecoder().decode(
        [String: Photo].self,
        from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/expected.json"))
    )
    static let names = (all?.keys).map { $0.sorted() } ?? []
}

@Suite struct PhotoTests {
    private func rows(_ file: PictureFile) throws -> [Float] {
        var values: [Float] = []
        try file.rows { values += $0 }
        return values
    }

    /// Every kind, to 16-bit rounding, and through a profile to half a level of 255. A JPEG is decoded here by a
    /// different version of the library than Pillow's: to one level.
    @Test(arguments: PhotoFixtures.names)
    func everyKindIsReadAsSRGB(name: String) throws {
        let photo = try #require(PhotoFixtures.all?[name])
        let file = try PictureFile("\(PhotoFixtures.folder)/\(name)")
        #expect((file.width, file.height) == (photo.width, photo.height))
        let bytes = Array(photo.values)
        let expected = stride(from: 0, to: bytes.count, by: 2).map {
            Float(UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8) / 65535
        }
        let isJPEG = name.hasSuffix(".jpg") || name.contains("jpeg")
        let limit: Float = name.hasPrefix("icc") ? 1.5 / 255 : isJPEG ? 1.01 / 255 : 1 / 30000
        for _ in 0..<2 {
            let found = try rows(file)
            #expect(found.count == expected.count)
            let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < limit, "\(worst)")
        }
    }

    @Test func theFixturesAreThere() { #expect(PhotoFixtures.names.count > 60) }

    /// Hundreds of damaged files of each kind: each is read or refused.
    @Test(arguments: [
        "plain.jpg", "progressive.jpg", "icc-pieces.jpg", "exif6.jpg", "cmyk.jpg", "restarts.jpg",
        "plain.webp", "alpha-lossless.webp", "icc-p3.webp", "exif8.webp",
        "grey12.tif", "rgb16-big-planes-deflate.tif", "rgb16-little-tiles.tif", "float16.tif",
        "palette4.tif", "rgb8-tiff_lzw.tif", "rgb8-jpeg.tif", "bilevel-group4.tif",
        "rgb8-bigtiff.tif",
        "rgb8-zstd.tif", "icc-p3.tif",
    ])
    func survivesDamage(name: String) throws {
        let whole = try Data(contentsOf: URL(fileURLWithPath: "\(PhotoFixtures.folder)/\(name)"))
        try inTemporaryFolder { folder in
            var mutator = Mutator(seed: 12)
            var refused = 0
            for i in 0..<300 {
                let file = "\(folder)/\(i)"
                try Data(mutator.mutate(Array(whole))).write(to: URL(fileURLWithPath: file))
                do {
                    let picture = try PictureFile(file)
                    guard picture.width * picture.height < 1 << 22 else { continue }
                    var count = 0
                    try picture.rows { row in
                        count += row.count
                        #expect(row.allSatisfy { (0...1).contains($0) })
                    }
                    #expect(count == 3 * picture.width * picture.height)
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 10, "\(refused)")
        }
    }

    /// A file that is truncated anywhere is refused, not filled up with grey.
    @Test(arguments: ["plain.jpg", "progressive.jpg", "plain.webp", "rgb8-tiff_lzw.tif"])
    func truncatedFilesAreRefused(name: String) throws {
        let whole = try Data(contentsOf: URL(fileURLWithPath: "\(PhotoFixtures.folder)/\(name)"))
        try inTemporaryFolder { folder in
            for share in [3, 5, 8, 9] {
                let file = "\(folder)/\(share)"
                try whole.prefix(whole.count * share / 10).write(to: URL(fileURLWithPath: file))
                let error = #expect(throws: InputError.self) {
                    try PictureFile(file).rows { _ in }
                }
                #expect(error?.place == file)
            }
        }
    }

    /// The error for a file with these bytes.
    private func refused(_ bytes: [UInt8]) throws -> String {
        try inTemporaryFolder { folder in
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/a"))
            let error = #expect(throws: InputError.self) {
                try PictureFile("\(folder)/a").rows { _ in }
            }
            return error?.problem ?? ""
        }
    }

    /// A few hundred bytes that claim a picture of 4 gigapixels.
    @Test func hugeClaimsAreRefused() throws {
        var jpeg = try [UInt8](
            Data(contentsOf: URL(fileURLWithPath: "\(PhotoFixtures.folder)/plain.jpg"))
        )
        let frame = try #require(
            (0..<jpeg.count - 9).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 }
        )
        for (place, value) in [(5, 0xFF), (6, 0x00), (7, 0xFF), (8, 0x00)] {
            jpeg[frame + place] = UInt8(value)
        }
        #expect(try refused(jpeg).contains("too short for 65280×65280"))
        var webp = try [UInt8](
            Data(contentsOf: URL(fileURLWithPath: "\(PhotoFixtures.folder)/lossless.webp"))
        )
        // The lossless header: 14 bits of width minus one, then the same for the height.
        let start = 21
        for (i, value) in [0xFF, 0xFF, 0xFF, 0x0F].enumerated() {
            webp[start + i] = UInt8(value) | (i == 3 ? webp[start + 3] & 0xF0 : 0)
        }
        #expect(try refused(webp).contains("16384×16384"))
    }

    /// Progressive pictures with more scans than programs write: each scan costs as much as the whole picture.
    @Test func manyScansAreRefused() throws {
        let whole = try [UInt8](
            Data(contentsOf: URL(fileURLWithPath: "\(PhotoFixtures.folder)/progressive.jpg"))
        )
        let scan = try #require(
            (0..<whole.count - 1).last { whole[$0] == 0xFF && whole[$0 + 1] == 0xDA }
        )
        let last = whole[scan..<whole.count - 2]
        let many = whole[..<(whole.count - 2)] + Array(repeating: Array(last), count: 200).joined()
        let found = try refused(Array(many) + [0xFF, 0xD9])
        #expect(found.contains("more than 100 scans") || found.contains("progress"), "\(found)")
    }

    @Test(arguments: [
        ("a BMP", "BM\0\0"), ("a GIF", "GIF89a"), ("a Photoshop file", "8BPS\0\u{1}"),
        ("a HEIC or AVIF", "\0\0\0\u{18}ftypheic"),
    ])
    func otherFormatsAreNamed(kind: String, beginning: String) throws {
        let found = try refused(Array(beginning.utf8) + [UInt8](repeating: 0, count: 64))
        #expect(found == "it is \(kind), and only PNG, JPEG, WebP and TIFF are read")
    }
}

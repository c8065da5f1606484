import Engine
import Foundation
import TestSupport
import Testing

/// Pictures of every kind, assembled by Tests/pictures.py, with the pixels that they should show.
struct PictureFixtures: Decodable {
    struct Scaled: Decodable {
        let source: [Int], target: [Int]
        let rows: [Double], columns: [Double]
        let values: [Float], scaled: [Float]
    }

    let width: Int, height: Int
    /// Rows of red, green and blue, 0…1.
    let pictures: [String: [Float]]
    let scaled: [Scaled]

    static let folder = "\(Fixtures.packageRoot)/Tests/Fixtures/pictures"
    static let all = try? JSONDecoder().decode(
        PictureFixtures.self,
        from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/expected.json"))
    )
    static let names = (all?.pictures.keys).map { $0.sorted() } ?? []
}

@Suite struct PictureFileTests {
    private func rows(_ file: PictureFile) throws -> [Float] {
        var values: [Float] = []
        try file.rows { values += $0 }
        return values
    }

    /// 1 to 16 bits, grey, palette, transparent, interlaced, in every orientation, with profiles, gamma values,
    /// primaries and code points. The reference is textbook formulas: to half a level of 255, and without a profile to
    /// 1/2000.
    @Test(arguments: PictureFixtures.names)
    func everyKindIsReadAsSRGB(name: String) throws {
        let fixtures = try #require(PictureFixtures.all)
        let file = try PictureFile("\(PictureFixtures.folder)/\(name).png")
        #expect((file.width, file.height) == (fixtures.width, fixtures.height))
        let expected = try #require(fixtures.pictures[name])
        for _ in 0..<2 {
            // The file can be read again.
            let found = try rows(file)
            #expect(found.count == expected.count)
            let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            // Profiles store their numbers in steps of 1/65536, which matters for dark colours.
            #expect(worst < (name.hasPrefix("icc") ? 0.5 / 255 : 1 / 2000), "\(name): \(worst)")
        }
    }

    @Test func theFixturesAreThere() { #expect(PictureFixtures.names.count > 95) }

    /// Hundreds of damaged files of each kind: each is read or refused.
    @Test(arguments: [
        "palette4-trns", "rgba16-interlaced", "icc-adobe", "icc-grey-alpha", "linear-p3",
        "exif6-interlaced", "exif7-after", "cicp-pq-narrow8", "exif6-cicp-pq",
    ])
    func survivesDamage(name: String) throws {
        let path = "\(PictureFixtures.folder)/\(name).png"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        try inTemporaryFolder { folder in
            var mutator = Mutator(seed: 11)
            var refused = 0
            for i in 0..<600 {
                let file = "\(folder)/\(i).png"
                let bytes = mutator.mutate(Array(whole))
                try Data(i % 2 == 0 ? bytes : PNGSums.mended(bytes))
                    .write(to: URL(fileURLWithPath: file))
                do {
                    let picture = try PictureFile(file)
                    var count = 0
                    try picture.rows { row in
                        count += row.count
                        #expect(row.allSatisfy { (0...1).contains($0) })
                    }
                    #expect(count == 3 * picture.width * picture.height)
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 150 && refused < 600, "\(refused)")
        }
    }

    /// The error for a file with this content.
    private func fault(_ file: String, _ data: Data) throws -> String {
        try data.write(to: URL(fileURLWithPath: file))
        let error = #expect(throws: InputError.self) { try PictureFile(file).rows { _ in } }
        #expect(error?.place == file)
        return error?.problem ?? ""
    }

    /// Code points without a known curve or primaries, and video range where there is none, in files without other
    /// colour information.
    @Test(
        arguments: [
            ("rgb8", [99, 13, 0, 1]), ("rgb8", [9, 17, 0, 1]), ("rgb16", [9, 16, 9, 1]),
            ("grey4", [9, 16, 0, 0]), ("rgb8", [2, 16, 0, 1]),
        ] as [(String, [UInt8])]
    )
    func namesColoursThatItDoesNotKnow(name: String, codes: [UInt8]) throws {
        let whole = try Data(
            contentsOf: URL(fileURLWithPath: "\(PictureFixtures.folder)/\(name).png")
        )
        try inTemporaryFolder { folder in
            let found = try fault(
                "\(folder)/a.png",
                Data(PNGSums.adding("cICP", codes, to: Array(whole)))
            )
            let told = codes.map { "\($0)" }.joined(separator: ", ")
            #expect(found.contains("cICP says (\(told))"), "\(found)")
        }
    }

    private struct Stored: StoredRows {
        let width: Int
        let height: Int
        let channels = 1
        let pixels: [UInt16]

        func rows(_ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void) throws {
            for y in 0..<height {
                var row = Array(pixels[y * width..<(y + 1) * width])
                try row.withUnsafeMutableBufferPointer { try body($0) }
            }
        }
    }

    /// A picture that is rotated by a quarter turn, in several blocks, comes out upright.
    @Test(arguments: 5...8) func turnsWideAndNarrowPictures(orientation: Int) throws {
        let (width, height) = (3, 5000)
        let turn = try #require(Orientation(rawValue: orientation))
        let pixels = (0..<width * height).map { UInt16($0 * 7 % 65536) }
        for (width, height) in [(width, height), (height, width)] {
            var found: [[UInt16]] = []
            let stored = Stored(width: width, height: height, pixels: pixels)
            try turn.upright(stored, block: 2 * height) { found.append(Array($0)) }
            let expected = (0..<width).map { y in
                (0..<height).map { x -> UInt16 in
                    let column = orientation >= 7 ? width - 1 - y : y
                    let row = (6...7).contains(orientation) ? height - 1 - x : x
                    return pixels[row * width + column]
                }
            }
            #expect(found == expected)
        }
    }

    /// Every unusable file gives a one-line error that names it.
    @Test func saysWhatIsWrong() throws {
        let whole = try Data(
            contentsOf: URL(fileURLWithPath: "\(PictureFixtures.folder)/rgb8.png")
        )
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.png"
            // Headers that claim more than so few bytes could hold, or than any picture has.
            var claims = Array(whole)
            claims.replaceSubrange(16..<24, with: [0, 0, 0x40, 0, 0, 0, 0x40, 0])
            let huge = Data(PNGSums.mended(claims))
            claims.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1])
            let endless = Data(PNGSums.mended(claims))
            for (data, part) in [
                (Data(), "not a picture"), (Data("GIF89a, and more of it".utf8), "PNG"),
                (whole.prefix(20), "ends too early"), (whole.prefix(whole.count - 20), "PNG"),
                (huge, "too short for 16384×16384"), (endless, "PNG"),
            ] {
                let found = try fault(file, data)
                #expect(found.contains(part), "\(found)")
            }
            let error = #expect(throws: InputError.self) { try PictureFile("\(folder)/none.png") }
            #expect(error?.place.hasSuffix("none.png") == true)
            #expect(throws: InputError.self) { try PictureFile(folder) }
        }
    }
}

@Suite struct ScaledPictureTests {
    /// Like Pillow's Lanczos filter: smaller, larger, cropped, and unscaled.
    @Test func scalesLikePillow() throws {
        let fixtures = try #require(PictureFixtures.all)
        #expect(fixtures.scaled.count > 4)
        for scaled in fixtures.scaled {
            let (height, width) = (scaled.source[0], scaled.source[1])
            var scaler = RowScaler(
                PictureFrame(
                    rows: scaled.rows[0]..<scaled.rows[1],
                    columns: scaled.columns[0]..<scaled.columns[1]
                ),
                height: height,
                width: width,
                to: (scaled.target[0], scaled.target[1]),
                channels: 1
            )
            var found: [Float] = []
            scaled.values.withUnsafeBufferPointer { values in
                for row in 0..<height {
                    scaler.take(.init(rebasing: values[row * width..<(row + 1) * width])) {
                        found += $0
                    }
                }
            }
            #expect(found.count == scaled.scaled.count)
            let worst = zip(found, scaled.scaled).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < 1e-5, "\(scaled.source) to \(scaled.target): \(worst)")
        }
    }

    /// Parts equal those of the whole, and without scaling the whole equals the picture.
    @Test func partsMatchTheWhole() throws {
        let file = try PictureFile("\(PictureFixtures.folder)/rgb16.png")
        let (height, width) = (file.height, file.width)
        let frame = PictureFrame(rows: 0..<Double(height), columns: 0..<Double(width))
        let scaled = try ScaledPicture(file, frame: frame, height: height, width: width)
        var values: [Float] = []
        try file.rows { values += $0 }
        let whole = try scaled.part(Region(rows: 0..<height, columns: 0..<width))
        #expect(whole.shape == [1, height, width, 3])
        for (a, b) in zip(whole.values, values) { #expect(abs(a - (2 * b - 1)) < 1e-4) }
        let part = try scaled.part(Region(rows: 2..<6, columns: 3..<8))
        #expect(
            part.values == whole.cropped(top: 2, left: 3, height: 4, width: 5).values
        )
    }

    @Test func framesCoverTheWholeSize() {
        func frame(_ height: Int, _ width: Int, _ target: (Int, Int)) -> PictureFrame {
            PictureFrame(ofHeight: height, width: width, covering: target, slack: 8)
        }
        // Same aspect ratio: the whole picture.
        #expect(frame(100, 200, (400, 800)) == PictureFrame(rows: 0..<100, columns: 0..<200))
        // Another aspect ratio: the middle.
        #expect(frame(100, 300, (64, 64)) == PictureFrame(rows: 0..<100, columns: 100..<200))
        #expect(frame(300, 100, (64, 128)) == PictureFrame(rows: 125..<175, columns: 0..<100))
        // A few pixels larger than the target: the edges are cropped, and no pixel is blurred.
        #expect(frame(263, 201, (256, 200)) == PictureFrame(rows: 3..<259, columns: 0..<200))
        #expect(frame(264, 200, (256, 200)).rows.upperBound < 264)
        for (height, width) in [(1, 1000), (37, 11), (4096, 1)] {
            for target in [(8, 8), (8, 8000), (640, 64)] {
                let frame = frame(height, width, target)
                #expect(frame.rows.lowerBound >= 0 && frame.rows.upperBound <= Double(height))
                #expect(frame.columns.lowerBound >= 0 && frame.columns.upperBound <= Double(width))
                let (down, across) = (
                    frame.rows.upperBound - frame.rows.lowerBound,
                    frame.columns.upperBound - frame.columns.lowerBound
                )
                let shape = down * Double(target.1) / (across * Double(target.0))
                #expect(abs(shape - 1) < 1e-9)
            }
        }
    }
}

import CTIFF
import Engine
import Foundation
import TestSupport
import Testing

@Suite struct TIFFTests {
    private static let side = Int(TESSERA_TIFF_TILE)

    /// A picture of several tiles, none of them full at the edges, in bands of unequal height.
    @Test(arguments: PixelDepth.allCases)
    func everySmallerCopyAveragesThePreviousOne(_ depth: PixelDepth) throws {
        let (width, height) = (1091, 777)
        let tensor = Tensor(
            (0..<height * width * 3).map { sin(Float($0 % (width * 3)) / 91 + Float($0) / 1e5) },
            shape: [1, height, width, 3]
        )
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.tif"
            let writer = try TIFFWriter(
                file: file,
                width: width,
                height: height,
                depth: depth,
                description: "a — “prompt”",
                software: "Tessera"
            )
            var top = 0
            for band in [1, 511, 3, 200, height - 715] {
                let rows = tensor.cropped(top: top, left: 0, height: band, width: width)
                try writer.write(rows: depth.bytes(rows))
                top += band
            }
            #expect(!FileManager.default.fileExists(atPath: file))
            try writer.finish()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.tif"])
            // Little-endian, 43: BigTIFF.
            let head = try Data(contentsOf: URL(fileURLWithPath: file)).prefix(4)
            #expect(Array(head) == [0x49, 0x49, 43, 0])

            var expected = depth.bytes(tensor).numbers(depth)
            var size = (width: width, height: height)
            for level in 0..<3 {
                #expect(try read(file, level, size, depth) == expected, "copy \(level)")
                expected = halved(expected, size)
                size = ((size.width + 1) / 2, (size.height + 1) / 2)
            }
            // 273 × 195 fits one tile: there is no smaller copy.
            #expect(throws: OutputError.self) { try read(file, 3, size, depth) }
        }
    }

    @Test func abandonedFilesLeaveNothing() throws {
        try inTemporaryFolder { folder in
            do {
                let writer = try TIFFWriter(file: "\(folder)/a.tif", width: 600, height: 600)
                try writer.write(rows: [UInt8](repeating: 9, count: 600 * 513 * 3))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    /// A device that is always full.
    @Test func aFullDiskIsReported() throws {
        let descriptor = open("/dev/full", O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let tiff = try #require(tessera_tiff_open(descriptor))
        defer { tessera_tiff_close(tiff) }
        let tile = [UInt8](repeating: 7, count: Self.side * Self.side * 3)
        _ = tessera_tiff_begin(tiff, 512, 512, 8, 0, nil, nil, nil)
        #expect(tessera_tiff_put(tiff, 0, 0, tile, tile.count) == -1)
        #expect(String(cString: tessera_tiff_error(tiff)) == String(cString: strerror(ENOSPC)))
    }

    @Test func namesSayTheKind() throws {
        for name in ["a.png", "/b.c/x.PNG", "a.tif", "a.b.TIFF", "a.jpg", "a.JPEG", "a.webp"] {
            _ = try PictureFormat(path: name, flag: "--output")
        }
        for name in ["a.gif", "png", "a.", "/x.png/a", ".", ""] {
            #expect(throws: InputError.self) {
                try PictureFormat(path: name, flag: "--output")
            }
        }
    }

    /// 16 bits preserve what 8 bits lose.
    @Test func sixteenBitsArriveInAPNG() throws {
        let tensor = Tensor([-1, 0, 1, 0.5, -0.25, 1 / 65535], shape: [1, 1, 2, 3])
        let bytes = PixelDepth.sixteen.bytes(tensor)
        #expect(bytes.numbers(.sixteen) == [0, 32768, 65535, 49151, 24576, 32768])
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.png"
            let writer = try PNGWriter(file: file, width: 2, height: 1, depth: .sixteen)
            try writer.write(rows: bytes)
            try writer.finish()
            let head = Array(try Data(contentsOf: URL(fileURLWithPath: file)).prefix(26))
            #expect(head[24] == 16 && head[25] == 2)
            // Read with 8 bits: the high byte, rounded.
            #expect(try PNGImage(file: file).pixels == [0, 128, 255, 191, 96, 128])
        }
    }

    private func read(
        _ file: String,
        _ level: Int,
        _ size: (width: Int, height: Int),
        _ depth: PixelDepth
    ) throws -> [Int] {
        let descriptor = open(file, O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let tiff = try #require(tessera_tiff_open(descriptor))
        defer { tessera_tiff_close(tiff) }
        func check(_ status: Int32) throws {
            if status != 0 { throw OutputError(file, String(cString: tessera_tiff_error(tiff))) }
        }
        try check(tessera_tiff_look(tiff, Int32(level)))
        var picture = [Int](repeating: -1, count: size.width * size.height * 3)
        var tile = [UInt8](repeating: 0, count: Self.side * Self.side * depth.pixel)
        for y in stride(from: 0, to: size.height, by: Self.side) {
            for x in stride(from: 0, to: size.width, by: Self.side) {
                try check(tessera_tiff_get(tiff, UInt32(x), UInt32(y), &tile, tile.count))
                let numbers = tile.numbers(depth)
                for row in 0..<min(Self.side, size.height - y) {
                    for i in 0..<3 * min(Self.side, size.width - x) {
                        picture[((y + row) * size.width + x) * 3 + i] =
                            numbers[row * Self.side * 3 + i]
                    }
                }
            }
        }
        return picture
    }

    private func halved(_ picture: [Int], _ size: (width: Int, height: Int)) -> [Int] {
        var result: [Int] = []
        for y in stride(from: 0, to: size.height, by: 2) {
            for x in stride(from: 0, to: size.width, by: 2) {
                for channel in 0..<3 {
                    var sum = 2
                    for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let (row, column) = (
                            min(y + dy, size.height - 1), min(x + dx, size.width - 1)
                        )
                        sum += picture[(row * size.width + column) * 3 + channel]
                    }
                    result.append(sum / 4)
                }
            }
        }
        return result
    }
}

extension [UInt8] {
    /// Numbers of 8 or 16 bits in the byte order of this machine.
    fileprivate func numbers(_ depth: PixelDepth) -> [Int] {
        switch depth {
        case .eight: map { Int($0) }
        case .sixteen: withUnsafeBytes { $0.bindMemory(to: UInt16.self).map { Int($0) } }
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

/// Pictures made to exhaust memory. `Tests/Fuzz/fuzz.py --crafted` measures how much they take.
@Suite struct HostilePictureTests {
    private let folder = "\(Fixtures.packageRoot)/Tests/Fixtures/pictures"

    private func rows(_ path: String) throws -> [Float] {
        var values: [Float] = []
        try PictureFile(path).rows { values += $0 }
        return values
    }

    /// A PNG with one more chunk before its pixels.
    private func withChunk(_ type: String, _ content: [UInt8]) throws -> [UInt8] {
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(folder)/rgb8.png")))
        let length = withUnsafeBytes(of: UInt32(content.count).bigEndian) { Array($0) }
        let chunk = length + Array(type.utf8) + content + [0, 0, 0, 0]
        // The signature has 8 bytes, the header 25.
        return PNGSums.mended(whole[..<33] + chunk + whole[33...])
    }

    /// A profile may contain as many float tables as it has bytes, each as large as the file, so float tables are not
    /// used. The fixture comes from Tests/Fuzz/crafted.py; its tables make everything black.
    @Test func floatTablesOfAProfileAreNotUsed() throws {
        #expect(try rows("\(folder)/float-tables.png") == rows("\(folder)/icc-p3.png"))
    }

    /// More than eight megabytes of text before a photo's pixels are skipped.
    @Test(arguments: ["tEXt", "iTXt", "zTXt", "eXIf", "sPLT"])
    func longUnusedChunksAreSkipped(type: String) throws {
        try inTemporaryFolder { place in
            let text = Array("k\0".utf8) + [UInt8](repeating: 0x74, count: 9 << 20)
            try Data(withChunk(type, text)).write(to: URL(fileURLWithPath: "\(place)/a.png"))
            #expect(try rows("\(place)/a.png") == rows("\(folder)/rgb8.png"))
        }
    }

    /// The size of chunks that are kept is limited: libpng itself only warns, and allocates what a chunk claims.
    @Test func longUsedChunksAreRejected() throws {
        try inTemporaryFolder { place in
            let file = "\(place)/a.png"
            let text = Array("k\0".utf8) + [UInt8](repeating: 0x74, count: 9 << 20)
            try Data(withChunk("tEXt", text)).write(to: URL(fileURLWithPath: file))
            let error = #expect(throws: InputError.self) { try PNGImage(file: file) }
            #expect(error?.problem.contains("too large") == true, "\(error?.problem ?? "")")
            try Data(withChunk("iCCP", text)).write(to: URL(fileURLWithPath: file))
            #expect(throws: InputError.self) { try PictureFile(file) }
        }
    }
}

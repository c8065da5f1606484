import Engine
import Foundation
import Synchronization
import TestSupport
import Testing

/// Names and permissions of files that are written.
@Suite struct TemporaryFileTests {
    private static func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    /// Reading the umask never loosens it, not even for a moment in which another thread creates a file.
    @Test func noFileIsWorldReadable() throws {
        try inTemporaryFolder { folder in
            let probe = "\(folder)/probe"
            close(open(probe, O_WRONLY | O_CREAT, 0o666))
            let expected = Self.mode(probe)
            try #require(expected != 0o666, "the tests run with a umask of 0")
            let found = Modes()
            // When the umask was replaced in order to read it, about one in a hundred of these was 0666.
            DispatchQueue.concurrentPerform(iterations: 8) { worker in
                for _ in 0..<4000 {
                    if worker < 6 {
                        guard let file = try? TemporaryFile(for: "\(folder)/\(worker)") else {
                            continue
                        }
                        found.add(Self.mode(file.temporaryPath))
                    } else {
                        let path = "\(folder)/plain-\(worker)"
                        close(open(path, O_WRONLY | O_CREAT, 0o666))
                        found.add(Self.mode(path))
                        unlink(path)
                    }
                }
            }
            #expect(found.modes == [expected])
        }
    }

    @Test func namesAreNumbered() throws {
        for (path, second) in [
            ("out.png", "out-2.png"), ("/a.b/out", "/a.b/out-2"), ("a.b/.png", "a.b/.png-2"),
            ("out.tar.gz", "out.tar-2.gz"), ("./x.tif", "./x-2.tif"),
        ] {
            #expect(Array(NumberedNames(path).prefix(2)) == [path, second])
        }
        try inTemporaryFolder { folder in
            var names: [String] = []
            for text in ["a", "b", "c"] {
                let file = try TemporaryFile(for: "\(folder)/out.png")
                try file.write(Array(text.utf8))
                names.append(try file.commitNumbered())
            }
            #expect(names == ["out.png", "out-2.png", "out-3.png"].map { "\(folder)/\($0)" })
            #expect(
                try names.map { try String(contentsOfFile: $0, encoding: .utf8) } == [
                    "a", "b", "c",
                ]
            )
            // A dangling link counts as a name that is taken.
            symlink("/nowhere", "\(folder)/l.png")
            let file = try TemporaryFile(for: "\(folder)/l.png")
            #expect(try file.commitNumbered() == "\(folder)/l-2.png")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 5)
        }
    }

    /// The error names pictures of other kinds, whatever their file extension.
    @Test(
        arguments: [
            (Array("\0\0\0\u{18}ftypavif".utf8), "a HEIC or AVIF"), (Array("GIF89a".utf8), "a GIF"),
            (Array("BM".utf8), "a BMP"),
            (Array("8BPS".utf8), "a Photoshop file"), ([0xFF, 0x0A], "a JPEG XL"),
        ] as [([UInt8], String)]
    )
    func otherPicturesAreToBeConverted(bytes: [UInt8], kind: String) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/my photo.png"
            try Data(bytes + [UInt8](repeating: 0, count: 100)).write(
                to: URL(fileURLWithPath: path)
            )
            let error = #expect(throws: InputError.self) { try PictureFile(path) }
            let text = "\(String(describing: error))"
            let expected = "it is \(kind), and only PNG, JPEG, WebP and TIFF are read. Convert it"
            #expect(text.contains(expected), "\(text)")
            #expect(text.contains("'\(folder)/my photo.png'"), "\(text)")
        }
    }
}

/// The modes seen so far.
private final class Modes: Sendable {
    private let seen = Mutex<Set<mode_t>>([])

    var modes: Set<mode_t> { seen.withLock { $0 } }

    func add(_ mode: mode_t) { seen.withLock { _ = $0.insert(mode) } }
}

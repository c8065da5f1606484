import Engine
import Foundation
import TestSupport
import Testing

/// Files that are missing, or not what they seem: each is rejected at once with an error that says what it is.
@Suite struct InputFileTests {
    private static let pointer = """
        version https://git-lfs.github.com/spec/v1
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
        size 3438167536

        """

    @Test func pipesAndDevicesAreNotWaitedFor() throws {
        try inTemporaryFolder { folder in
            let pipe = "\(folder)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            for (path, kind) in [(pipe, "a pipe"), ("/dev/zero", "a device"), (folder, "a folder")]
            {
                let start = ContinuousClock.now
                for read in [
                    { _ = try InputFile.bytes(path) }, { _ = try InputFile.text(path) },
                    { _ = try SafeTensors(file: path) }, { _ = try PictureFile(path) },
                    { _ = try PNGImage(file: path) }, { _ = try ConfigReader(file: path) },
                    { _ = try FileDigest.of(path, cache: nil) },
                    { _ = try AdapterFile(LoRASource(path: path)) },
                ] as [() throws -> Void] {
                    let error = #expect(throws: InputError.self) { try read() }
                    #expect(error?.place == path && error?.problem.contains(kind) == true)
                }
                #expect(ContinuousClock.now - start < .seconds(2))
            }
            let error = #expect(throws: InputError.self) { try InputFile.bytes("\(folder)/none") }
            #expect(error?.problem == "the file does not exist")
        }
    }

    @Test func gitLFSPointersAreRecognised() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            try Self.pointer.write(toFile: file, atomically: true, encoding: .utf8)
            for read in [
                { _ = try SafeTensors(file: file) }, { _ = try ConfigReader(file: file) },
                { _ = try PictureFile(file) }, { _ = try Model(path: file) },
            ] as [() throws -> Void] {
                let error = #expect(throws: InputError.self) { try read() }
                #expect(error?.remedy.contains("git lfs pull") == true, "\(error as Any)")
            }
        }
    }

    @Test func webPagesAreRecognised() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            try "\n<!DOCTYPE html>\n<html><body>Sign in to download</body></html>"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let error = #expect(throws: InputError.self) { try SafeTensors(file: file) }
            #expect(error?.problem.contains("web page") == true, "\(error as Any)")
        }
    }
}

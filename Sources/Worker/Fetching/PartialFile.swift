import Engine
import Foundation
import Protocol

/// A file that is being fetched: a prefix that is verified chunk by chunk. It survives the process.
final class PartialFile {
    private let path: String
    private let file: ModelCatalogue.File
    private let descriptor: Int32
    private let whole = FileHash()
    /// Number of chunks present.
    private(set) var present = 0

    /// Opens the file and verifies what an earlier process left in it.
    ///
    /// - Throws: `OutputError` if it cannot be written
    init(_ path: String, _ file: ModelCatalogue.File) throws(OutputError) {
        (self.path, self.file) = (path, file)
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw OutputError(path, String(cString: strerror(errno))) }
        while present < file.chunks.count, let bytes = read(present),
            bytes.withUnsafeBytes({ ModelCatalogue.Digest(of: $0) }) == file.chunks[present]
        {
            bytes.withUnsafeBytes { whole.add(bytes: $0) }
            present += 1
        }
        let checked = min(file.size, present * ModelCatalogue.chunkBytes)
        guard ftruncate(descriptor, off_t(checked)) == 0,
            lseek(descriptor, 0, SEEK_END) >= 0
        else { throw failure() }
    }

    deinit { close(descriptor) }

    /// Reads a chunk left by an earlier process; nil if it is incomplete.
    private func read(_ chunk: Int) -> [UInt8]? {
        let start = chunk * ModelCatalogue.chunkBytes
        let count = min(ModelCatalogue.chunkBytes, file.size - start)
        var bytes = [UInt8](repeating: 0, count: count)
        return pread(descriptor, &bytes, count, off_t(start)) == count ? bytes : nil
    }

    /// Appends the next chunk, which must have been verified.
    ///
    /// - Throws: `OutputError` if the disk is full
    func append(_ bytes: [UInt8]) throws(OutputError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure() }
            done += count
        }
        bytes.withUnsafeBytes { whole.add(bytes: $0) }
        present += 1
    }

    /// Verifies the whole file and renames it to its final name.
    ///
    /// - Throws: `FetchFailure` if the content does not match the catalogue, `OutputError`
    func finish(as name: String) throws {
        guard ModelCatalogue.Digest(bytes: whole.digest()) == file.digest else {
            unlink(path)
            throw FetchFailure.otherFile(file: file.name)
        }
        guard fsync(descriptor) == 0, rename(path, name) == 0 else { throw failure() }
    }

    private func failure() -> OutputError { OutputError(path, String(cString: strerror(errno))) }
}

import Foundation

/// A file without a name, for what is too large to be kept in memory. It goes with the process, however that
/// ends.
///
/// Used by one thread at a time.
final class ScratchFile {
    private let folder: String
    private let descriptor: Int32

    /// Where such files are: `$TMPDIR`, else `/var/tmp`, which is on a disk where `/tmp` may be memory.
    static var folder: String {
        let given = ProcessInfo.processInfo.environment["TMPDIR"] ?? ""
        return given.isEmpty ? "/var/tmp" : given
    }

    /// - Parameter bytes: how large it will be; they are reserved
    /// - Throws: `OutputError` when the disk is full or the folder cannot be written to
    init(bytes: Int) throws(OutputError) {
        folder = Self.folder
        // mkstemp puts letters for the six X that no other file has, so that no one else's file is opened.
        var template = Array("\(folder)/tessera-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Self.failure(folder, errno) }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let status = posix_fallocate(descriptor, 0, off_t(max(1, bytes)))
        guard status == 0 else {
            // deinit runs when this is thrown, and closes the file.
            throw OutputError(
                folder,
                "\(bytes) bytes cannot be reserved there: \(String(cString: strerror(status)))"
            )
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Writes numbers at a place, counted in such numbers.
    ///
    /// - Throws: `OutputError` when the disk is broken
    func write<T: BitwiseCopyable>(
        _ numbers: UnsafeBufferPointer<T>,
        at place: Int
    ) throws(OutputError) {
        var rest = UnsafeRawBufferPointer(numbers)
        var offset = place * MemoryLayout<T>.stride
        while let start = rest.baseAddress, rest.count > 0 {
            let count = pwrite(descriptor, start, rest.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(folder, errno) }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            offset += count
        }
    }

    /// Reads numbers from a place.
    ///
    /// - Throws: `OutputError` when the disk is broken
    func read<T: BitwiseCopyable>(
        _ numbers: UnsafeMutableBufferPointer<T>,
        at place: Int
    ) throws(OutputError) {
        var rest = UnsafeMutableRawBufferPointer(numbers)
        var offset = place * MemoryLayout<T>.stride
        while let start = rest.baseAddress, rest.count > 0 {
            let count = pread(descriptor, start, rest.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(folder, count == 0 ? EIO : errno) }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest.dropFirst(count))
            offset += count
        }
    }

    private static func failure(_ folder: String, _ number: Int32) -> OutputError {
        OutputError(
            folder,
            "a temporary file there cannot be used: \(String(cString: strerror(number)))"
        )
    }
}

import Foundation

/// An unnamed file for data that are too large for memory. It disappears with the process, however the process ends.
///
/// Used by one thread at a time.
final class ScratchFile {
    private let folder: String
    private let descriptor: Int32

    /// The folder for these files: `$TMPDIR`, by default `/var/tmp`, which is on disk where `/tmp` may be in memory.
    static var folder: String {
        let given = ProcessInfo.processInfo.environment["TMPDIR"] ?? ""
        return given.isEmpty ? "/var/tmp" : given
    }

    /// - Parameter bytes: size of the file; the disk space is reserved
    /// - Throws: `OutputError` if the disk is full or the folder is not writable
    init(bytes: Int) throws(OutputError) {
        folder = Self.folder
        // mkstemp replaces the six X with letters that no other file has, so it never opens an existing file.
        var template = Array("\(folder)/tessera-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Self.failure(folder, errno) }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let status = posix_fallocate(descriptor, 0, off_t(max(1, bytes)))
        guard status == 0 else {
            // deinit also runs after this throws, and closes the file.
            throw OutputError(
                folder,
                "\(bytes) bytes cannot be reserved there: \(String(cString: strerror(status)))"
            )
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Writes values at an offset that counts values.
    ///
    /// - Throws: `OutputError` if the disk is broken
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

    /// Reads values from an offset that counts values.
    ///
    /// - Throws: `OutputError` if the disk is broken
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

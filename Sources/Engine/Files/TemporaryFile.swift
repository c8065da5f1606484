import Foundation

/// A file that is written beside its final name and takes that name only when it is complete;
/// abandoned, it leaves nothing behind.
///
/// Used by one thread at a time.
package final class TemporaryFile {
    /// The final name.
    package let path: String
    /// The name while it is written.
    package let temporaryPath: String
    /// Open for writing until `commit`.
    package private(set) var descriptor: Int32

    /// - Throws: `OutputError` when the folder cannot be written to
    package init(for path: String) throws(OutputError) {
        self.path = path
        var template = Array("\(path).XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw OutputError(path, String(cString: strerror(errno)))
        }
        temporaryPath = String(
            decoding: template.dropLast().map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        // mkstemp makes private files; results follow the user's umask.
        let mask = umask(0)
        _ = umask(mask)
        _ = fchmod(descriptor, 0o666 & ~mask)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporaryPath)
    }

    /// Appends bytes.
    ///
    /// - Throws: `OutputError` when the disk is full or broken
    package func write(_ bytes: UnsafeRawBufferPointer) throws(OutputError) {
        var rest = bytes
        while let start = rest.baseAddress, rest.count > 0 {
            let count = Foundation.write(descriptor, start, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure() }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }

    /// Appends bytes.
    ///
    /// - Throws: `OutputError` when the disk is full or broken
    package func write(_ bytes: [UInt8]) throws(OutputError) {
        let fault: OutputError? = bytes.withUnsafeBytes { bytes in
            do throws(OutputError) {
                try write(bytes)
                return nil
            } catch {
                return error
            }
        }
        if let fault { throw fault }
    }

    /// Gives the file its final name.
    ///
    /// - Throws: `OutputError` when it cannot be completed
    package func commit() throws(OutputError) {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure() }
        guard rename(temporaryPath, path) == 0 else { throw failure() }
        close(descriptor)
        descriptor = -1
    }

    private func failure() -> OutputError { OutputError(path, String(cString: strerror(errno))) }
}

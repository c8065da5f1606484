import Foundation

/// A file that is written beside its final name and gets that name only when it is complete;
/// if abandoned, it leaves nothing behind.
///
/// Used by one thread at a time.
package final class TemporaryFile {
    /// The final name.
    package let path: String
    /// The name while it is being written.
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
        _ = fchmod(descriptor, FileMask.mode)
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

    /// Gives the file its final name, replacing any existing file.
    ///
    /// - Throws: `OutputError` when it cannot be completed
    package func commit() throws(OutputError) { try commit(as: path) }

    /// Gives the file its final name or, if that is taken, the first free one of `name-2.png`,
    /// `name-3.png` and so on: nothing is replaced, even if other processes write there at the same time.
    ///
    /// - Returns: the name
    /// - Throws: `OutputError` when it cannot be completed
    package func commitNumbered() throws(OutputError) -> String {
        for name in NumberedNames(path) {
            // Creates an empty file to reserve the name; the rename replaces only that.
            let reserved = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FileMask.mode)
            if reserved >= 0 {
                close(reserved)
                do {
                    try commit(as: name)
                } catch {
                    unlink(name)
                    throw error
                }
                return name
            }
            guard errno == EEXIST else { throw OutputError(name, String(cString: strerror(errno))) }
        }
        throw OutputError(path, "all its numbered names are taken")
    }

    /// `commitNumbered` or `commit`.
    ///
    /// - Returns: the name
    /// - Throws: as they do
    func commit(numbered: Bool) throws(OutputError) -> String {
        if numbered { return try commitNumbered() }
        try commit()
        return path
    }

    private func commit(as name: String) throws(OutputError) {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure() }
        guard rename(temporaryPath, name) == 0 else { throw failure() }
        close(descriptor)
        descriptor = -1
    }

    private func failure() -> OutputError { OutputError(path, String(cString: strerror(errno))) }
}

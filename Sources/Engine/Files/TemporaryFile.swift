import Foundation

/// A file that is written next to its final name and gets that name only when it is complete; if abandoned, it leaves
/// nothing behind. The name `-` means standard output, which gets the content of the file when it is complete.
///
/// Used by one thread at a time.
package final class TemporaryFile {
    /// The final name.
    package let path: String
    /// The name while the file is being written.
    package let temporaryPath: String
    /// Open for writing until `commit`.
    package private(set) var descriptor: Int32
    /// Whether the content goes to standard output.
    private let isStream: Bool

    /// - Throws: `OutputError` if the folder is not writable
    package init(for path: String) throws(OutputError) {
        self.path = path
        isStream = path == PictureFormat.standardOutput
        let place = isStream ? "\(ScratchFile.folder)/tessera" : path
        // Includes the terminating zero for mkstemp, which replaces the Xs.
        var template = Array("\(place).XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw OutputError(
                isStream ? ScratchFile.folder : path,
                String(cString: strerror(errno))
            )
        }
        temporaryPath = String(
            decoding: template.dropLast().map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        // mkstemp creates private files, but results should follow the user's umask.
        _ = fchmod(descriptor, FileMask.mode)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        if isStream { unlink(temporaryPath) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        if !isStream { unlink(temporaryPath) }
    }

    /// Appends bytes.
    ///
    /// - Throws: `OutputError` if the disk is full or broken
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
    /// - Throws: `OutputError` if the disk is full or broken
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
    /// - Throws: `OutputError` if it cannot be completed
    package func commit() throws(OutputError) { try commit(as: path) }

    /// Gives the file its final name or, if that is taken, the first free name of `name-2.png`, `name-3.png` and so on.
    /// Nothing is replaced, even if other processes write there at the same time.
    ///
    /// - Returns: the name that the file got
    /// - Throws: `OutputError` if it cannot be completed
    package func commitNumbered() throws(OutputError) -> String {
        for name in NumberedNames(path) {
            // Reserves the name with an empty file; the rename replaces only that file.
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

    /// Calls `commitNumbered` or `commit`.
    ///
    /// - Returns: the name that the file got
    /// - Throws: as `commit` and `commitNumbered`
    func commit(numbered: Bool) throws(OutputError) -> String {
        if numbered, !isStream { return try commitNumbered() }
        try commit()
        return path
    }

    private func commit(as name: String) throws(OutputError) {
        if isStream { return try copyToStandardOutput() }
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure() }
        guard rename(temporaryPath, name) == 0 else { throw failure() }
        close(descriptor)
        descriptor = -1
    }

    private func copyToStandardOutput() throws(OutputError) {
        func failed(_ code: Int32) -> OutputError {
            OutputError("standard output", String(cString: strerror(code)))
        }
        var block = [UInt8](repeating: 0, count: 1 << 16)
        var place = 0
        while true {
            let count = pread(descriptor, &block, block.count, off_t(place))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure() }
            guard count > 0 else { break }
            var done = 0
            while done < count {
                let part = block.withUnsafeBytes { bytes in
                    Foundation.write(
                        STDOUT_FILENO,
                        bytes.baseAddress?.advanced(by: done),
                        count - done
                    )
                }
                if part > 0 {
                    done += part
                } else if part < 0, errno == EAGAIN {
                    // Standard output may be a pipe that someone made non-blocking.
                    var ready = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&ready, 1, -1)
                } else if part == 0 || errno != EINTR {
                    throw failed(part == 0 ? EIO : errno)
                }
            }
            place += count
        }
        close(descriptor)
        descriptor = -1
    }

    private func failure() -> OutputError { OutputError(path, String(cString: strerror(errno))) }
}

import Foundation

/// Small files read whole, with a bound on their size.
package enum InputFile {
    /// - Parameters:
    ///   - path: of the file
    ///   - limit: size in bytes above which it is refused unread
    /// - Returns: its bytes
    /// - Throws: `InputError` when it is missing, not a plain file, too large or unreadable
    package static func bytes(_ path: String, limit: Int = 64 << 20) throws(InputError) -> [UInt8] {
        let (descriptor, size) = try open(path)
        defer { close(descriptor) }
        guard size <= limit else {
            throw InputError(
                path,
                "it has \(size) bytes, more than the \(limit) that such a file may have",
                fix: "Check that it is the right file"
            )
        }
        var bytes = [UInt8](repeating: 0, count: size)
        var done = 0
        while done < size {
            let count = bytes.withUnsafeMutableBytes { buffer in
                read(descriptor, buffer.baseAddress?.advanced(by: done), size - done)
            }
            guard count > 0 else {
                throw InputError(path, "it cannot be read to its end", fix: "Check the disk")
            }
            done += count
        }
        return bytes
    }

    /// Opens a plain file for reading.
    ///
    /// - Returns: its descriptor, which the caller closes, and its size in bytes
    /// - Throws: `InputError` when it is missing, not a plain file or unreadable
    static func open(_ path: String) throws(InputError) -> (descriptor: Int32, size: Int) {
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw InputError(path, "it cannot be opened: \(reason)", fix: "Check the path")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw InputError(path, "it is not a plain file", fix: "Check the path")
        }
        return (descriptor, Int(status.st_size))
    }
}

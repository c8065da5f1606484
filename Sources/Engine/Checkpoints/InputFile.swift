import Foundation

/// The only way to open a file supplied by a user. Only regular files are read: a FIFO or a device
/// could block its reader indefinitely, or never end.
package enum InputFile {
    /// - Parameters:
    ///   - path: the file's path
    ///   - limit: maximum size in bytes; a larger file is rejected without reading it
    /// - Returns: its bytes
    /// - Throws: `InputError` if it is missing, not a regular file, too large or unreadable
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
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw InputError(path, "it cannot be read to its end", fix: "Check the disk")
            }
            done += count
        }
        return bytes
    }

    /// - Returns: the file's text
    /// - Throws: as `bytes`, or if it is not UTF-8
    package static func text(_ path: String, limit: Int = 64 << 20) throws(InputError) -> String {
        guard let text = String(validating: try bytes(path, limit: limit), as: UTF8.self) else {
            throw InputError(path, "it is not UTF-8 text", fix: "Check that it is the right file")
        }
        return text
    }

    /// Opens a regular file for reading.
    ///
    /// - Returns: its descriptor, which the caller closes, and its size in bytes
    /// - Throws: `InputError` if it is missing, not a regular file, unreadable, or only a pointer to a
    ///   file that Git LFS keeps elsewhere
    package static func open(_ path: String) throws(InputError) -> (descriptor: Int32, size: Int) {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let (code, fix) = (errno, "Check the path")
            guard code != ENOENT else {
                throw InputError(path, "the file does not exist", fix: fix)
            }
            throw InputError(path, "it cannot be opened", code: code, fix: fix)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw InputError(
                path,
                "it is \(kind(of: status.st_mode)), not a file",
                fix: "Check the path"
            )
        }
        guard !isPointer(descriptor, size: Int(status.st_size)) else {
            close(descriptor)
            throw InputError(
                path,
                "it is only a Git LFS pointer: the file itself was not downloaded",
                fix: "Run 'git lfs pull' in its repository"
            )
        }
        return (descriptor, Int(status.st_size))
    }

    private static func kind(of mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a folder"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "something else"
        }
    }

    /// The first bytes of every pointer file (Git LFS specification); no picture, model or JSON file begins with them.
    private static let pointer = Array("version https://git-lfs.github.com/spec/".utf8)
    /// Pointer files are smaller than this, in bytes (same specification).
    private static let pointerLimit = 1024

    private static func isPointer(_ descriptor: Int32, size: Int) -> Bool {
        guard (pointer.count..<pointerLimit).contains(size) else { return false }
        var head = [UInt8](repeating: 0, count: pointer.count)
        return pread(descriptor, &head, head.count, 0) == head.count && head == pointer
    }
}

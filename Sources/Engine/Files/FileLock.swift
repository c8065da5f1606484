import Foundation

/// A lock on a file or a folder, which one process of this host holds at a time: until it is dropped, or the process
/// ends.
package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Waits for a file, which is made where there is none.
    ///
    /// - Throws: `OutputError` when it cannot be made or locked
    package init(waitingFor path: String) throws(OutputError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw OutputError(path, String(cString: strerror(errno))) }
        while flock(descriptor, LOCK_EX) != 0 {
            // deinit runs when this is thrown, and closes the file.
            guard errno == EINTR else { throw OutputError(path, String(cString: strerror(errno))) }
        }
    }

    /// Takes a folder, unless another process holds it.
    ///
    /// - Parameters:
    ///   - path: the folder
    ///   - fix: what to do when it cannot be opened
    ///   - taken: is thrown when another process holds it
    /// - Throws: `InputError`
    package init(folder path: String, fix: String, taken: InputError) throws(InputError) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputError(path, String(cString: strerror(errno)), fix: fix)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw taken }
    }

    /// Whether a process holds a folder now.
    package static func isHeld(folder path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Makes new names in a folder outlive a loss of power.
    package func sync() { _ = fsync(descriptor) }
}

import Foundation

/// A lock on a file or folder. Only one process of this host holds it at a time, until it releases the lock or ends.
package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Waits for the lock on a file, creating the file if it does not exist.
    ///
    /// - Throws: `OutputError` if it cannot be created or locked
    package init(waitingFor path: String) throws(OutputError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw OutputError(path, String(cString: strerror(errno))) }
        while flock(descriptor, LOCK_EX) != 0 {
            // deinit also runs after this throws, and closes the file.
            guard errno == EINTR else { throw OutputError(path, String(cString: strerror(errno))) }
        }
    }

    /// Waits for the lock on a file with a timeout, creating the file if it does not exist.
    ///
    /// - Throws: `OutputError` if it cannot be created, or if another process holds the lock for longer
    package init(waitingFor path: String, atMost patience: Duration) throws(OutputError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw OutputError(path, String(cString: strerror(errno))) }
        let deadline = ContinuousClock.now + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EINTR || errno == EWOULDBLOCK, ContinuousClock.now < deadline else {
                throw OutputError(
                    path,
                    "another process holds this lock: \(String(cString: strerror(errno)))"
                )
            }
            usleep(2000)
        }
    }

    /// Locks a folder, unless another process holds the lock.
    ///
    /// - Parameters:
    ///   - path: the folder
    ///   - fix: advice for the error if the folder cannot be opened
    ///   - taken: the error to throw if another process holds the lock
    /// - Throws: `InputError`
    package init(folder path: String, fix: String, taken: InputError) throws(InputError) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputError(path, "it cannot be opened", code: errno, fix: fix)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw taken }
    }

    /// Whether a process currently holds the lock on a folder.
    package static func isHeld(folder path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Syncs the folder, so that new names in it survive a power failure.
    package func sync() { _ = fsync(descriptor) }
}

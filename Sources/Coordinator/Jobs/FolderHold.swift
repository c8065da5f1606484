import Engine
import Glibc

/// Holds a folder against other processes, from when it is made until it is released or dropped.
final class FolderHold: Sendable {
    private let descriptor: Int32

    /// - Parameters:
    ///   - path: the folder
    ///   - fix: what to do when it cannot be opened
    ///   - taken: is thrown when another process holds it
    /// - Throws: `InputError`
    init(of path: String, fix: String, taken: InputError) throws(InputError) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputError(path, String(cString: strerror(errno)), fix: fix)
        }
        // deinit runs when this is thrown, and closes the folder.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw taken }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Makes new names in the folder outlive a loss of power.
    func sync() { _ = fsync(descriptor) }
}

import Foundation

/// A child process that Foundation does not know about. Foundation's `Process` takes a child that closes its inherited
/// files, as servers do, for one that has ended, and then waits for it indefinitely.
struct Spawned {
    let id: pid_t

    /// - Parameter words: program, looked up in PATH, and its arguments
    /// - Throws: if it cannot be started
    init(_ words: [String]) throws {
        var arguments = words.map { strdup($0) }
        defer { for word in arguments { free(word) } }
        arguments.append(nil)
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)
        // The test threads block signals that the child should receive.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var id: pid_t = 0
        let code = posix_spawnp(
            &id,
            arguments[0] ?? strdup(""),
            &files,
            &attributes,
            arguments,
            environ
        )
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .ENOENT) }
        self.id = id
    }

    /// Waits until it ends.
    ///
    /// - Returns: whether it exited with status 0
    @discardableResult
    func wait() -> Bool {
        var status: Int32 = 0
        return waitpid(id, &status, 0) == id && status == 0
    }

    /// Whether it is still running.
    var isRunning: Bool { waitpid(id, nil, WNOHANG) == 0 }

    /// Kills it at once.
    func end() {
        kill(id, SIGKILL)
        wait()
    }
}

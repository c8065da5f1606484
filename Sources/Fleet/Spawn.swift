import Engine
import Foundation
import Glibc
import Protocol

/// Starts programs.
package enum Spawn {
    /// The process group or session of a new process.
    enum Grouping {
        /// Its own group: Ctrl-C is for the coordinator, which ends its workers in order.
        case group
        /// Its own session: it keeps running when its parent ends.
        case session
    }

    /// POSIX_SPAWN_SETSID, a GNU extension missing from the Glibc module.
    private static let newSession: Int32 = 0x80

    /// Set for every program that is started: its command line is complete, and the default flags
    /// in this process's environment are not meant for it.
    package static let withoutDefaults = (name: "TESSERA_DEFAULTS", value: "none")

    /// Starts a program with default signal handling, whatever this process ignores or blocks.
    ///
    /// - Parameters:
    ///   - program: its path, or a name to look up in PATH
    ///   - arguments: without the program's name
    ///   - environment: variables added to this process's own
    ///   - grouping: its group or session
    ///   - input: becomes its standard input
    ///   - output: becomes its standard output and error
    /// - Returns: its pid
    /// - Throws: `InputError` when the program does not exist, `SocketError` when the system is out of resources
    static func start(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        grouping: Grouping = .group,
        input: Int32,
        output: Int32
    ) throws -> Int32 {
        keepFilesToThisProcess()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        let belonging =
            switch grouping {
            case .group: Int32(POSIX_SPAWN_SETPGROUP)
            case .session: newSession
            }
        posix_spawnattr_setflags(
            &attributes,
            Int16(belonging | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK))
        )
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let variables = ProcessInfo.processInfo.environment
            .merging([withoutDefaults.name: withoutDefaults.value]) { _, new in new }
            .merging(environment) { _, new in new }
            .map { "\($0.key)=\($0.value)" }
        var id: Int32 = 0
        let code = withCStrings([program] + arguments) { argv in
            withCStrings(variables) { envp in
                posix_spawnp(&id, program, &actions, &attributes, argv, envp)
            }
        }
        guard code == 0 else {
            // A lack of resources is not an error in the input.
            guard ![EAGAIN, ENOMEM, EMFILE, ENFILE].contains(code) else {
                throw SocketError("posix_spawn \(program)", code: code)
            }
            throw InputError(
                program,
                "it cannot be started",
                code: code,
                fix: "Check that it is there and may be executed"
            )
        }
        return id
    }

    /// Marks what is open beyond the standard streams, some of it by libraries, to be closed in programs that are
    /// started: a socket that this process listens on would outlive it there.
    private static func keepFilesToThisProcess() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for file in names.compactMap({ Int32($0) }) where file > STDERR_FILENO {
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        }
    }

    /// This process goes on as this program with other arguments, under the same process id.
    ///
    /// - Throws: `InputError` when that fails
    package static func become(_ arguments: [String]) throws(InputError) {
        let program = thisProgram
        setenv(withoutDefaults.name, withoutDefaults.value, 1)
        // What this process has opened is closed; what it was given stays open, as its parent may expect.
        _ = withCStrings(["tessera"] + arguments) { argv in execv(program, argv) }
        throw InputError(
            program,
            "it cannot be started",
            code: errno,
            fix: "Check that it is there and may be executed"
        )
    }

    /// The path of the program that runs now.
    package static var thisProgram: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        return String(
            decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}

/// Passes C a null-terminated array of strings.
private func withCStrings<R>(
    _ strings: [String],
    _ body: ([UnsafeMutablePointer<CChar>?]) -> R
) -> R {
    let pointers = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
}

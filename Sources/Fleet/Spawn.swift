import Engine
import Foundation
import Glibc
import Protocol

/// Starts programs.
package enum Spawn {
    /// The process group or session of a new process.
    enum Grouping {
        /// A separate process group: Ctrl-C must only reach the coordinator, which ends its workers in order.
        case group
        /// A separate session: the process keeps running when its parent ends.
        case session
    }

    /// POSIX_SPAWN_SETSID, a GNU extension that the Glibc module lacks.
    private static let newSession: Int32 = 0x80

    /// Set for every program that is started: its command line is complete, so it must ignore default flags in this
    /// process's environment.
    package static let withoutDefaults = (name: "TESSERA_DEFAULTS", value: "none")

    /// Starts a program with default signal handling, whatever signals this process ignores or blocks.
    ///
    /// - Parameters:
    ///   - program: path of the program, or a name to look up in PATH
    ///   - arguments: arguments, without the program's name
    ///   - environment: variables to add to this process's own
    ///   - grouping: the new process's group or session
    ///   - input: becomes its standard input
    ///   - output: becomes its standard output and standard error
    /// - Returns: its pid
    /// - Throws: `InputError` if the program does not exist, `SocketError` if the system is out of resources
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
            // A lack of resources is not an input error.
            guard ![EAGAIN, ENOMEM, EMFILE, ENFILE].contains(code) else {
                throw SocketError("posix_spawn \(program)", code: code)
            }
            throw InputError(
                program,
                "it cannot be started",
                code: code,
                fix: "Check that it exists and is executable"
            )
        }
        return id
    }

    /// Marks all descriptors beyond the standard streams, some opened by libraries, as close-on-exec: a started program
    /// would otherwise keep a listening socket of this process open.
    private static func keepFilesToThisProcess() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for file in names.compactMap({ Int32($0) }) where file > STDERR_FILENO {
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        }
    }

    /// Replaces this process with this program and other arguments, under the same process id.
    ///
    /// - Throws: `InputError` if that fails
    package static func become(_ arguments: [String]) throws(InputError) {
        let program = thisProgram
        setenv(withoutDefaults.name, withoutDefaults.value, 1)
        // Files that this process opened are closed; inherited ones stay open, as its parent may expect.
        _ = withCStrings(["tessera"] + arguments) { argv in execv(program, argv) }
        throw InputError(
            program,
            "it cannot be started",
            code: errno,
            fix: "Check that it exists and is executable"
        )
    }

    /// Path of the running program.
    package static var thisProgram: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        return String(
            decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}

/// Passes strings to C as a null-terminated array.
private func withCStrings<R>(
    _ strings: [String],
    _ body: ([UnsafeMutablePointer<CChar>?]) -> R
) -> R {
    let pointers = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
}

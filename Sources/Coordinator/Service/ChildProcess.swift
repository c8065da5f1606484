import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// A process that this one started, reaped by the thread that reads its messages.
final class ChildProcess: Sendable {
    /// How a process ended.
    enum Ending: Equatable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    let name: String
    let id: Int32
    /// Nil once it is reaped: its id may then be another's.
    private let living: Mutex<Int32?>
    private let ended = HandOver<Void>()

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: its path
    ///   - arguments: without the program's name
    ///   - name: for people
    ///   - lifeline: becomes its standard input
    ///   - onLine: called with each line that it prints, on a thread of its own
    ///   - onEnd: called once, after the last line
    /// - Throws: `InputError` when it cannot be started
    init(
        _ program: String,
        _ arguments: [String],
        name: String,
        lifeline: Int32,
        onLine: @escaping @Sendable (String) -> Void,
        onEnd: @escaping @Sendable (Int32, Ending) -> Void
    ) throws(InputError) {
        self.name = name
        let output = try PrivatePipe()
        let (reading, writing) = (output.reading, output.writing)
        let started = Self.spawn(program, arguments, input: lifeline, output: writing)
        close(writing)
        switch started {
        case .success(let id): self.id = id
        case .failure(let error):
            close(reading)
            throw InputError(
                program,
                "it cannot be started (\(String(cString: strerror(error.code))))",
                fix: "Check that it is there and may be executed"
            )
        }
        living = Mutex(id)
        _ = NamedThread("log \(name.prefix(11))", stack: 1 << 20) { [self] in
            Self.readLines(reading, onLine)
            close(reading)
            let ending = reap()
            onEnd(id, ending)
            ended.put(())
        }
    }

    /// Sends a signal, unless it has ended.
    func signal(_ number: Int32) {
        living.withLock { living in if let id = living { kill(id, number) } }
    }

    /// Waits until it has ended and its last line was passed on. Once it returned true, or without a
    /// deadline, do not call it again.
    ///
    /// - Returns: false when the time was over first
    func wait(until deadline: Date) -> Bool { ended.take(before: deadline) != nil }

    /// The same without a deadline.
    func wait() { ended.take() }

    private func reap() -> Ending {
        // Leaves it a zombie, so that the id cannot be given to another before `living` is nil.
        var info = siginfo_t()
        while waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return living.withLock { living in
            living = nil
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7f
            return signal == 0 ? .exited(status >> 8 & 0xff) : .killed(signal: signal)
        }
    }

    private struct SpawnError: Error {
        let code: Int32
    }

    private static func spawn(
        _ program: String,
        _ arguments: [String],
        input: Int32,
        output: Int32
    ) -> Result<Int32, SpawnError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C is for the coordinator, which ends its workers in order.
        // Signals as they are by default, whatever this process ignores or blocks.
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
        )
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var id: Int32 = 0
        let code = withCStrings([program] + arguments) { argv in
            withCStrings(environment) { envp in
                posix_spawn(&id, program, &actions, &attributes, argv, envp)
            }
        }
        return code == 0 ? .success(id) : .failure(SpawnError(code: code))
    }

    /// Passes on lines, each of at most 1,000 bytes, until the pipe ends.
    private static func readLines(_ descriptor: Int32, _ onLine: (String) -> Void) {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        func pass() {
            let text = printable(String(decoding: line, as: UTF8.self), limit: 1000)
            if !text.isEmpty { onLine(text) }
            line.removeAll()
        }
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") {
                    pass()
                } else if line.count < 1000 {
                    line.append(byte)
                }
            }
        }
        pass()
    }
}

/// Lends C an array of strings that ends with nil.
private func withCStrings<R>(
    _ strings: [String],
    _ body: ([UnsafeMutablePointer<CChar>?]) -> R
) -> R {
    let pointers = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
}

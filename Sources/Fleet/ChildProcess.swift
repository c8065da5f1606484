import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// A process that this one started, reaped by the thread that reads its messages.
final class ChildProcess: Sendable {
    /// How a process ended.
    enum Ending: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        var description: String {
            switch self {
            case .exited(let status): "ended with status \(status)"
            case .killed(SIGKILL):
                "was killed by signal \(SIGKILL) (by the system, which ran out of memory, unless somebody did)"
            case .killed(let signal): "was killed by signal \(signal)"
            }
        }
    }

    let name: String
    let id: Int32
    /// Nil once it is reaped: its pid may then be reused.
    private let living: Mutex<Int32?>
    private let ended = BlockingQueue<Void>()

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: its path, or a name to look up in PATH
    ///   - arguments: without the program's name
    ///   - environment: variables added to this process's own
    ///   - name: for people
    ///   - lifeline: becomes its standard input
    ///   - maxLineLength: maximum bytes of a line that are kept
    ///   - onLine: called with each line that it prints, on a thread of its own
    ///   - onEnd: called once, after the last line
    /// - Throws: `InputError` when the program does not exist, `SocketError` when the system is out of resources
    init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        name: String,
        lifeline: Int32,
        maxLineLength: Int = 1000,
        onLine: @escaping @Sendable (String) -> Void,
        onEnd: @escaping @Sendable (Int32, Ending) -> Void
    ) throws {
        self.name = name
        let output = try PrivatePipe()
        let (reading, writing) = (output.reading, output.writing)
        defer { close(writing) }
        do {
            id = try Spawn.start(
                program,
                arguments,
                environment: environment,
                input: lifeline,
                output: writing
            )
        } catch {
            close(reading)
            throw error
        }
        living = Mutex(id)
        _ = NamedThread("log \(name.prefix(11))", stack: 1 << 20) { [self] in
            readLines(reading, maxLineLength, onLine)
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

    /// Waits until it has ended and its last line was passed on. Once this returned true, or without a
    /// deadline, do not call it again.
    ///
    /// - Returns: false at the deadline
    func wait(until deadline: ContinuousClock.Instant) -> Bool {
        ended.take(before: deadline) != nil
    }

    /// The same without a deadline.
    func wait() { ended.take() }

    private func reap() -> Ending {
        // Leaves it a zombie, so that the pid cannot be reused before `living` is nil.
        var info = siginfo_t()
        while waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return living.withLock { living in
            living = nil
            return Self.reap(id)
        }
    }

    /// Waits for the end of a process that this one started.
    static func reap(_ id: Int32) -> Ending {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? .exited(status >> 8 & 0xff) : .killed(signal: signal)
    }

    /// Whether it has ended; it stays a zombie until it is reaped.
    private var isZombie: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT | WNOHANG) == 0
            && info._sifields._sigchld.si_pid == id
    }

    /// Passes on lines, cut where they are too long, until the pipe ends. A process that it left may hold the pipe: when it
    /// has ended, and nothing comes for a while, nobody waits for that one.
    private func readLines(
        _ descriptor: Int32,
        _ longest: Int,
        _ onLine: (String) -> Void
    ) {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        func pass() {
            // ssh ends its own lines with CR LF, for terminals.
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let text = printable(String(decoding: line, as: UTF8.self), limit: longest)
            if !text.isEmpty { onLine(text) }
            line.removeAll()
        }
        while true {
            var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waited, 1, 1000)
            if ready < 0, errno == EINTR { continue }
            if ready == 0 {
                if isZombie { break }
                continue
            }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") {
                    pass()
                } else if line.count < longest {
                    line.append(byte)
                }
            }
        }
        pass()
    }
}

import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// A process that this one started; the thread that reads its output reaps it.
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
    /// The pid; nil once the process is reaped, because the pid may then be reused.
    private let living: Mutex<Int32?>
    private let ended = BlockingQueue<Void>()

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: path of the program, or a name to look up in PATH
    ///   - arguments: arguments, without the program's name
    ///   - environment: variables to add to this process's own
    ///   - name: name of the process, for messages
    ///   - lifeline: becomes its standard input
    ///   - maxLineLength: maximum bytes of a line; the rest is dropped
    ///   - onLine: called with each line of output, on a separate thread
    ///   - onEnd: called once, after the last line
    /// - Throws: `InputError` if the program does not exist, `SocketError` if the system is out of resources
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

    /// Sends a signal, unless the process has ended.
    func signal(_ number: Int32) {
        living.withLock { living in if let id = living { kill(id, number) } }
    }

    /// Waits until the process has ended and its last line was passed on. Do not call this again once it has returned
    /// true or been called without a deadline.
    ///
    /// - Returns: false if the deadline has passed
    func wait(until deadline: ContinuousClock.Instant) -> Bool {
        ended.take(before: deadline) != nil
    }

    /// Waits without a deadline.
    func wait() { ended.take() }

    private func reap() -> Ending {
        // Leaves the process a zombie, so that the pid cannot be reused before `living` is nil.
        var info = siginfo_t()
        while waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return living.withLock { living in
            living = nil
            return Self.reap(id)
        }
    }

    /// Waits for a child process to end, and reaps it.
    static func reap(_ id: Int32) -> Ending {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? .exited(status >> 8 & 0xff) : .killed(signal: signal)
    }

    /// Whether the process has ended; it remains a zombie until it is reaped.
    private var isZombie: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT | WNOHANG) == 0
            && info._sifields._sigchld.si_pid == id
    }

    /// Passes on lines, truncated if too long, until the pipe closes. A process left behind by this one may keep the
    /// pipe open: once this one has ended and nothing has arrived for a while, reading stops.
    private func readLines(
        _ descriptor: Int32,
        _ longest: Int,
        _ onLine: (String) -> Void
    ) {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        func pass() {
            // ssh ends its own lines with CR LF.
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

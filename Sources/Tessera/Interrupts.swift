import Foundation
import Protocol

/// Turns the first SIGINT, SIGTERM or SIGHUP into one call on a dedicated thread; a second signal ends the process
/// immediately. A SIGHUP that was ignored on start, by nohup for example, stays ignored.
enum Interrupts {
    /// Milliseconds until the user is told that the process is still computing, and from then until it ends anyway: a
    /// call to a hung device never returns.
    private static let patience: (told: Int32, ended: Int32) = (5000, 55_000)

    /// Installs the handlers. Call once, early.
    ///
    /// - Parameters:
    ///   - mayHang: whether the process ends a minute after the first signal, whatever it is doing
    ///   - onFirst: called after the first signal
    static func handle(mayHang: Bool = false, _ onFirst: @escaping @Sendable () -> Void) {
        guard let pipe = try? PrivatePipe() else { return }
        signalPipe = pipe.writing
        let reader = pipe.reading
        let thread = Thread {
            var byte: UInt8 = 0
            guard read(reader, &byte, 1) == 1 else { return }
            onFirst()
            if mayHang { wait(for: reader) }
            guard read(reader, &byte, 1) == 1 else { return }
            _exit(ExitStatus.interrupted)
        }
        thread.name = "interrupts"
        thread.start()
        let numbers = [SIGINT, SIGTERM] + (isIgnored(SIGHUP) ? [] : [SIGHUP])
        // The parent process may have blocked these signals.
        var wanted = sigset_t()
        sigemptyset(&wanted)
        for number in numbers { sigaddset(&wanted, number) }
        pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
        for number in numbers {
            signal(number) { _ in
                var byte: UInt8 = 1
                _ = write(signalPipe, &byte, 1)
            }
        }
    }
}

extension Interrupts {
    /// Waits up to a minute for a second signal, then ends the process.
    private static func wait(for reader: Int32) {
        func isSignalled(within milliseconds: Int32) -> Bool {
            var entry = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            return poll(&entry, 1, milliseconds) != 0
        }
        if isSignalled(within: patience.told) { return }
        StandardError.write("tessera: still computing; interrupt again to stop at once")
        if isSignalled(within: patience.ended) { return }
        StandardError.write(
            "tessera: stopped while it was still computing; tessera resume goes on from what was saved",
            isLast: true
        )
        _exit(ExitStatus.interrupted)
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        // SIG_IGN has no type of its own in Swift: it is the handler with address 1.
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}

/// Write end of the pipe that the signal handler writes to; set once, before a handler is installed.
private nonisolated(unsafe) var signalPipe: Int32 = -1

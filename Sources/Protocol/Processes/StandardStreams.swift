import Glibc

/// Standard input, output and error as any caller may have left them: closed, full, non-blocking, or a
/// terminal that is gone.
package enum StandardStreams {
    /// Opens those of the descriptors 0, 1 and 2 that are closed, and ignores SIGPIPE. Call before anything
    /// else opens a file: a socket that got number 2 would be sent every log line.
    ///
    /// They become `/dev/null` opened the wrong way round, so that reading and writing still fail and a
    /// result that cannot be printed is not taken for printed.
    package static func prepare() {
        for descriptor in STDIN_FILENO...STDERR_FILENO
        where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // The lowest free number is this one: those below it are open by now.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// Writes all bytes.
    ///
    /// - Parameters:
    ///   - bytes: to write
    ///   - descriptor: open in any mode; one that does not block is waited for
    ///   - patience: for a reader that does not read, in milliseconds; negative waits without end
    /// - Returns: 0, or the `errno` of the failure, EAGAIN when the reader took too long. A part may have been
    ///   written then.
    package static func write(
        _ bytes: [UInt8],
        to descriptor: Int32,
        patience: Int32 = -1
    ) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes
            var refusals: Int32 = 0
            while let start = rest.baseAddress, rest.count > 0 {
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                let ready = poll(&wanted, 1, patience)
                if ready < 0, errno == EINTR { continue }
                if ready == 0 { return EAGAIN }
                // As much as a pipe that is ready takes without blocking.
                let count = Glibc.write(descriptor, start, min(rest.count, atomicPipeWrite))
                if count < 0 {
                    switch errno {
                    case EINTR: continue
                    case EAGAIN where patience < 0 || refusals < patience:
                        refusals += 1
                        usleep(1000)
                    case let failure: return failure
                    }
                } else {
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
                }
            }
            return 0
        }
    }

    /// PIPE_BUF on Linux.
    private static let atomicPipeWrite = 4096
}

import Glibc

/// Standard input, output and error in whatever state the caller left them: closed, full, non-blocking, or a
/// terminal that has gone away.
package enum StandardStreams {
    /// Opens whichever of the descriptors 0, 1 and 2 are closed, and ignores SIGPIPE. Call this before anything else
    /// opens a file: otherwise a socket could get descriptor 2 and receive every log line.
    ///
    /// They are opened on `/dev/null` in the wrong mode, so that reads and writes still fail, and output that cannot be
    /// written is noticed.
    package static func prepare() {
        for descriptor in STDIN_FILENO...STDERR_FILENO
        where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // The lowest free descriptor is this one: those below it are open by now.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// Writes all bytes.
    ///
    /// - Parameters:
    ///   - bytes: to write
    ///   - descriptor: open in any mode; a non-blocking one is polled
    ///   - patience: timeout in milliseconds if nobody reads; negative waits indefinitely
    /// - Returns: 0, or the `errno` of the failure, EAGAIN on a timeout; some of the bytes may have been written
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
                // The number of bytes that a writable pipe accepts without blocking.
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

import Glibc

/// Copies bytes in both directions between two non-blocking sockets.
struct Pump {
    /// One direction.
    private struct Stream {
        let from: Int32
        let to: Int32
        private var buffer = [UInt8](repeating: 0, count: 1 << 16)
        /// Range of the buffer that is still to be written.
        private var full = 0..<0
        private(set) var isEnded = false

        init(from: Int32, to: Int32) { (self.from, self.to) = (from, to) }

        var isEmpty: Bool { full.isEmpty }
        var reads: Bool { full.isEmpty && !isEnded }

        mutating func read() {
            let count = recv(from, &buffer, buffer.count, 0)
            if count > 0 {
                full = 0..<count
            } else if count == 0 || errno != EAGAIN && errno != EINTR {
                isEnded = true
            }
        }

        mutating func write() {
            let flags = Int32(MSG_NOSIGNAL)
            let count = buffer[full].withUnsafeBytes { send(to, $0.baseAddress, $0.count, flags) }
            if count > 0 {
                full = full.lowerBound + count..<full.upperBound
            } else if errno != EAGAIN && errno != EINTR {
                (full, isEnded) = (0..<0, true)
            }
        }
    }

    private var there: Stream
    private var back: Stream

    init(_ near: Int32, _ far: Int32) {
        (there, back) = (Stream(from: near, to: far), Stream(from: far, to: near))
    }

    /// The events to poll for on the socket that one direction reads from and the other writes to.
    private static func item(reading: Stream, writing: Stream) -> pollfd {
        item(reading.from, (reading.reads ? POLLIN : 0) | (writing.isEmpty ? 0 : POLLOUT))
    }

    /// poll ignores negative descriptors. A socket without events is left out, too, because its hang-up would be
    /// reported over and over.
    private static func item(_ socket: Int32, _ events: Int32) -> pollfd {
        pollfd(fd: events == 0 ? -1 : socket, events: Int16(events), revents: 0)
    }

    /// Copies bytes until one side has ended and everything that it sent has been delivered.
    ///
    /// - Parameters:
    ///   - wakeup: when it is signalled, this call ends within `linger`
    ///   - linger: time left to deliver pending bytes
    consuming func run(until wakeup: Wakeup, linger: Duration) {
        var deadline: ContinuousClock.Instant?
        while !(there.isEnded && there.isEmpty || back.isEnded && back.isEmpty) {
            var items = [
                Self.item(reading: there, writing: back), Self.item(reading: back, writing: there),
                Self.item(deadline == nil ? wakeup.descriptor : -1, POLLIN),
            ]
            let left = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
            let count = poll(&items, 3, left.map { Int32($0.milliseconds) } ?? -1)
            if count < 0, errno != EINTR { return }
            if count == 0, deadline != nil { return }
            if items[2].revents != 0 { deadline = ContinuousClock.now + linger }
            if items[0].revents != 0, there.reads { there.read() }
            if items[1].revents != 0, back.reads { back.read() }
            if !there.isEmpty { there.write() }
            if !back.isEmpty { back.write() }
        }
    }
}

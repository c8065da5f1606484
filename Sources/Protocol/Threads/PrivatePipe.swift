import CZeroMQ
import Glibc

/// A pipe that child processes do not inherit by accident. The caller closes its ends.
package struct PrivatePipe: Sendable {
    package let reading: Int32
    package let writing: Int32

    /// - Throws: `SocketError` if the limit on open files is reached
    package init() throws(SocketError) {
        var ends: [Int32] = [-1, -1]
        guard tessera_pipe(&ends) == 0 else { throw SocketError("pipe", code: errno) }
        (reading, writing) = (ends[0], ends[1])
    }
}

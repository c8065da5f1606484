import CZeroMQ

/// A ZeroMQ or system call that failed.
package struct SocketError: Error, Equatable, CustomStringConvertible {
    package let operation: String
    package let code: Int32

    package init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    /// The error that ZeroMQ last reported on this thread.
    static func last(_ operation: String) -> SocketError {
        SocketError(operation, code: zmq_errno())
    }

    package var description: String { "\(operation): \(String(cString: zmq_strerror(code)))" }
}

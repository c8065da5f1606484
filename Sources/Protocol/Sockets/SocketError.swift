import CZeroMQ

extension String {
    /// Creates a string from a C buffer: the characters before the first zero.
    init(zeroEnded characters: [CChar]) {
        self.init(
            decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}

/// A ZeroMQ or system call that failed.
package struct SocketError: Error, Equatable, CustomStringConvertible {
    package let operation: String
    package let code: Int32

    package init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    /// ZeroMQ's last error on this thread.
    static func last(_ operation: String) -> SocketError {
        SocketError(operation, code: zmq_errno())
    }

    package var description: String { "\(operation): \(String(cString: zmq_strerror(code)))" }
}

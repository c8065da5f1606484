import Foundation
import Glibc
import Protocol

/// Ties a local worker to the coordinator that started it, by a pipe: the coordinator keeps the other end open, and the
/// kernel closes it however the coordinator exits.
package enum Lifeline {
    /// Exits this process as soon as standard input ends. For workers that a coordinator started; call it before
    /// anything else.
    ///
    /// A coordinator that was killed could not remove its private directory, so its workers do.
    ///
    /// - Parameter endpoint: the coordinator's endpoint
    package static func watchStandardInput(endpoint: Endpoint) {
        _ = NamedThread("lifeline", stack: 1 << 20) {
            var byte: UInt8 = 0
            while true {
                let count = read(STDIN_FILENO, &byte, 1)
                if count == 0 || (count < 0 && errno != EINTR) { break }
            }
            if let path = endpoint.path { PrivateDirectory.remove(socket: path) }
            _exit(0)
        }
    }
}

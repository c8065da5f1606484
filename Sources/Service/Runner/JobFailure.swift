import Coordinator
import Engine
import Protocol

/// Whose fault a failed render is. Pure.
package enum JobFailure {
    /// Whether the same job may succeed later as it is: the disk is full, or workers are missing.
    package static func isOfService(_ error: any Error) -> Bool {
        switch error {
        case is ClusterUnavailable, is OutputError, is EndpointTaken, is SocketError: true
        case let error as InputError: error.isSystemLimit
        default: false
        }
    }
}

import Coordinator
import Engine
import Protocol

/// Tells whether a failed render is the fault of the job or of the service. Pure.
package enum JobFailure {
    /// Whether the same job may succeed later without changes, for example if the disk is full or workers are missing.
    package static func isOfService(_ error: any Error) -> Bool {
        switch error {
        case is ClusterUnavailable, is OutputError, is EndpointTaken, is SocketError: true
        case let error as InputError: error.isSystemLimit
        default: false
        }
    }
}

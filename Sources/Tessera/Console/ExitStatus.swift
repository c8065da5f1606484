import ArgumentParser
import Coordinator
import Engine
import Protocol

/// Exit statuses of the process.
enum ExitStatus {
    static let badInput: Int32 = 64
    static let unavailable: Int32 = 69
    static let fault: Int32 = 70
    static let interrupted: Int32 = 130

    /// Runs a subcommand; an error becomes one line on standard error and its exit status.
    static func reporting(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            StandardError.write("tessera: \(error)", isLast: true)
            throw ExitCode(status(of: error))
        }
    }

    static func status(of error: any Error) -> Int32 {
        switch error {
        case let error as InputError: error.isSystemLimit ? fault : badInput
        case is EndpointTaken: badInput
        case is ClusterUnavailable: unavailable
        case is RenderCancelled: interrupted
        case let error as PicturesFailed: error.status
        default: fault
        }
    }
}

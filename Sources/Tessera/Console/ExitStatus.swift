import ArgumentParser
import Coordinator
import Engine
import Protocol
import Service

/// Exit statuses of the process.
enum ExitStatus {
    static let badInput: Int32 = 64
    static let unavailable: Int32 = 69
    static let fault: Int32 = 70
    /// A service cannot do this now, or the job has no picture yet.
    static let later: Int32 = 75
    /// A service does not allow this.
    static let forbidden: Int32 = 77
    static let interrupted: Int32 = 130

    /// Runs a subcommand; an error is printed as one line on standard error and sets the exit status.
    static func reporting(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            StandardError.write("tessera: \(named(error))", isLast: true)
            throw ExitCode(status(of: error))
        }
    }

    /// The error, naming the environment variable or file that set the flag.
    private static func named(_ error: any Error) -> any Error {
        guard let fault = error as? InputError, let words = try? Invocation.arguments.get() else {
            return error
        }
        return words.naming(fault)
    }

    static func status(of error: any Error) -> Int32 {
        switch error {
        case let error as InputError: error.isSystemLimit ? fault : badInput
        case is EndpointTaken: badInput
        case is ClusterUnavailable: unavailable
        case is RenderCancelled: interrupted
        case let error as PicturesFailed: error.status
        case let error as ServiceClientError: status(of: error)
        case is RemoteJobUnfinished: later
        default: fault
        }
    }

    private static func status(of error: ServiceClientError) -> Int32 {
        switch error {
        case .unreachable, .foreign: unavailable
        case .refused(401, _), .refused(403, _): forbidden
        case .refused(429, _), .refused(503, _): later
        case .refused(500..., _): unavailable
        case .refused: badInput
        }
    }
}

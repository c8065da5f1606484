import Engine
import Protocol

/// A worker's connection for fetching files; it is reopened when the coordinator does not answer.
package final class FetchConnection {
    private let endpoint: Endpoint
    private let security: Security
    private let context: SocketContext
    private let wakeup: Wakeup
    private var holder: Holder

    /// How long the coordinator may take to answer before it is asked again on a new connection.
    static let silence: Duration = .seconds(20)

    /// Owns a socket, which is not copyable, so that it can be replaced.
    private final class Holder {
        let socket: Socket

        init(_ endpoint: Endpoint, _ security: Security, in context: SocketContext) throws {
            socket = try Socket(.dealer, in: context, security: security)
            try socket.connect(endpoint)
        }
    }

    package init(_ endpoint: Endpoint, _ security: Security) throws {
        (self.endpoint, self.security) = (endpoint, security)
        context = try SocketContext()
        wakeup = try Wakeup()
        holder = try Holder(endpoint, security, in: context)
    }

    /// Opens a new connection.
    func renew() throws { holder = try Holder(endpoint, security, in: context) }

    package func ask(_ request: ChunkRequest) throws {
        _ = try holder.socket.send(WorkerMessage.fetch(request).frames)
    }

    package enum Arrival {
        /// Nothing arrived in time.
        case nothing
        case answer(ChunkAnswer)
        /// The connection was lost and has been re-established: earlier requests may be lost.
        case reconnected
    }

    /// Waits for the next arrival.
    package func next(within time: Duration, _ cancellation: Cancellation) throws -> Arrival {
        let deadline = ContinuousClock.now + time
        repeat {
            if case .message(let frames) = try holder.socket.receive(),
                case .chunk(let answer)? = try? CoordinatorMessage(frames: frames)
            {
                return .answer(answer)
            }
            if try holder.socket.connectionChanges().isReconnected { return .reconnected }
            let rest = ContinuousClock.now.duration(to: deadline)
            try holder.socket.wait(wakeup, for: min(rest, .milliseconds(100)))
        } while ContinuousClock.now < deadline && !cancellation.isCancelled
        return .nothing
    }
}

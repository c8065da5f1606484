import Engine
import Logging
import Protocol

/// Passes messages between the workers of a site and the coordinator. What several of them need of a latent comes to the site once.
///
///     let relay = try Relay(configuration, logger: logger)
///     let traffic = try relay.wait()
package final class Relay: Sendable {
    package struct Configuration: Sendable {
        /// Where workers connect to.
        package var endpoint: Endpoint
        /// Who of them is admitted.
        package var security: Security
        /// The coordinator's endpoint.
        package var coordinator: Endpoint
        /// How the relay authenticates itself there.
        package var keys: Security
        /// What it is called there: its workers' names begin with it.
        package var name: String
        /// Takes how many seconds ago each worker's key was heard, every few seconds.
        package var noteHeard: @Sendable ([PublicKey: Double]) -> Void = { _ in }
        /// Takes its condition whenever that changes.
        package var noteCondition: @Sendable (Condition) -> Void = { _ in }

        package init(
            endpoint: Endpoint,
            security: Security,
            coordinator: Endpoint,
            keys: Security,
            name: String
        ) {
            (self.endpoint, self.security) = (endpoint, security)
            (self.coordinator, self.keys, self.name) = (coordinator, keys, name)
        }

        /// Where machines that join the site by invitation are listed.
        var joined: JoinFolder? {
            if case .coordinator(_, let allowed) = security { allowed.joined } else { nil }
        }

        /// The relay's public key, by which the coordinator knows it.
        var key: PublicKey? {
            if case .worker(let pair, _) = keys { pair.publicKey } else { nil }
        }
    }

    /// What others may be told of it.
    package struct Condition: Equatable, Sendable {
        /// Machines whose workers are connected.
        package var present: Set<PublicKey> = []
        /// What keeps it from the coordinator, in words.
        package var trouble: String?
    }

    /// Bytes of messages.
    package struct Traffic: Equatable, Sendable {
        /// From the coordinator.
        package var received = 0
        /// To workers.
        package var sent = 0
        /// What of `received` were pieces of the model's files.
        package var files = 0
        /// From workers to the coordinator.
        package var up = 0
    }

    /// Where it listens, with the port that the system chose.
    package let endpoint: Endpoint
    private let mailbox: Mailbox<RelayShell.Note>
    private let ended: BlockingQueue<Result<Traffic, any Error>>

    /// Begins to listen.
    ///
    /// - Throws: `EndpointTaken`, `InputError` if the endpoint cannot be listened on, `SocketError`
    package init(_ configuration: Configuration, logger: Logger) throws {
        let mailbox = try Mailbox<RelayShell.Note>()
        let bound = BlockingQueue<Result<Endpoint, any Error>>()
        let ended = BlockingQueue<Result<Traffic, any Error>>()
        (self.mailbox, self.ended) = (mailbox, ended)
        _ = NamedThread("relay") {
            // Its sockets are closed before anybody is told that it has ended.
            ended.put(Self.run(configuration, mailbox, logger, bound))
        }
        endpoint = try bound.take().get()
    }

    private static func run(
        _ configuration: Configuration,
        _ mailbox: Mailbox<RelayShell.Note>,
        _ logger: Logger,
        _ bound: BlockingQueue<Result<Endpoint, any Error>>
    ) -> Result<Traffic, any Error> {
        do {
            let shell = try RelayShell(configuration, mailbox, logger)
            bound.put(.success(shell.endpoint))
            return .success(try shell.run())
        } catch {
            bound.put(.failure(error))
            return .failure(error)
        }
    }

    /// Tells it to end.
    package func stop() { mailbox.post(.stop) }

    /// Waits until it has ended. Call once.
    ///
    /// - Returns: what it carried
    /// - Throws: `SocketError` when its socket failed
    package func wait() throws -> Traffic { try ended.take().get() }
}

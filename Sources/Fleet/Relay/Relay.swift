import Engine
import Logging
import Protocol

/// Passes messages between a site's workers and the coordinator. Parts of a latent that several workers need are sent
/// to the site once.
///
///     let relay = try Relay(configuration, logger: logger)
///     let traffic = try relay.wait()
package final class Relay: Sendable {
    package struct Configuration: Sendable {
        /// The endpoint that workers connect to.
        package var endpoint: Endpoint
        /// Which workers are admitted.
        package var security: Security
        /// The coordinator's endpoint.
        package var coordinator: Endpoint
        /// How the relay authenticates itself there.
        package var keys: Security
        /// Its name at the coordinator, and the prefix of its workers' names.
        package var name: String
        /// Called every few seconds with how many seconds ago each worker's key was heard.
        package var noteHeard: @Sendable ([PublicKey: Double]) -> Void = { _ in }
        /// Called whenever the relay's condition changes.
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

        /// The list of machines that joined the site by invitation.
        var joined: JoinFolder? {
            if case .coordinator(_, let allowed) = security { allowed.joined } else { nil }
        }

        /// The public key by which the coordinator knows the relay.
        var key: PublicKey? {
            if case .worker(let pair, _) = keys { pair.publicKey } else { nil }
        }
    }

    /// The relay's state, as published to others.
    package struct Condition: Equatable, Sendable {
        /// Keys of machines whose workers are connected.
        package var present: Set<PublicKey> = []
        /// Why the relay cannot work with the coordinator, as text.
        package var trouble: String?
    }

    /// Bytes of messages carried.
    package struct Traffic: Equatable, Sendable {
        /// Received from the coordinator.
        package var received = 0
        /// Sent to workers.
        package var sent = 0
        /// The part of `received` that was model files.
        package var files = 0
        /// Sent from workers to the coordinator.
        package var up = 0
    }

    /// The endpoint it listens on, including the port chosen by the system.
    package let endpoint: Endpoint
    private let mailbox: Mailbox<RelayShell.Note>
    private let ended: BlockingQueue<Result<Traffic, any Error>>

    /// Starts listening.
    ///
    /// - Throws: `EndpointTaken`, `InputError` if it cannot listen on the endpoint, `SocketError`
    package init(_ configuration: Configuration, logger: Logger) throws {
        let mailbox = try Mailbox<RelayShell.Note>()
        let bound = BlockingQueue<Result<Endpoint, any Error>>()
        let ended = BlockingQueue<Result<Traffic, any Error>>()
        (self.mailbox, self.ended) = (mailbox, ended)
        _ = NamedThread("relay") {
            // `run` has closed the relay's sockets before anybody is told that it has ended.
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

    /// Tells the relay to stop.
    package func stop() { mailbox.post(.stop) }

    /// Waits until the relay has ended. Call once.
    ///
    /// - Returns: the traffic that it carried
    /// - Throws: `SocketError` if its socket failed
    package func wait() throws -> Traffic { try ended.take().get() }
}

import Coordinator
import Fleet
import Protocol
import Testing

/// A relay in front of a cluster, in threads of this process.
final class ThreadRelay {
    let relay: Relay
    private let directory: PrivateDirectory?

    convenience init(_ cluster: Cluster, at endpoint: Endpoint? = nil) throws {
        try self.init(to: cluster.endpoint, at: endpoint)
    }

    init(to coordinator: Endpoint, at endpoint: Endpoint? = nil) throws {
        directory = endpoint == nil ? try PrivateDirectory() : nil
        relay = try Relay(
            Relay.Configuration(
                endpoint: try #require(endpoint ?? directory?.endpoint),
                security: .open,
                coordinator: coordinator,
                keys: .open,
                name: "relay"
            ),
            logger: quiet
        )
    }

    func stop() throws -> Relay.Traffic {
        relay.stop()
        defer { directory?.remove() }
        return try relay.wait()
    }
}

import Protocol

/// Connections whose other side has not said who it is. Events and a clock in, connections to warn of out.
struct SilentConnections {
    private var since: [Connection: Duration] = [:]
    /// Addresses that a person was told of.
    private var told: Set<String> = []

    /// Most connections and addresses that are remembered.
    private static let capacity = 1024

    mutating func opened(_ connection: Connection, at now: Duration) {
        if since.count < Self.capacity { since[connection] = now }
    }

    /// It has said something.
    mutating func heard(_ connection: Connection?) {
        if let connection { since[connection] = nil }
    }

    /// Addresses of connections that have been silent for too long; each once.
    ///
    /// - Parameters:
    ///   - patience: how long is too long
    ///   - now: on the clock of `opened`
    ///   - address: of the other side; nil if the connection has ended
    /// - Returns: addresses, in order
    mutating func overdue(
        _ patience: Duration,
        at now: Duration,
        address: (Connection) -> String?
    ) -> [String] {
        var found: [String] = []
        for (connection, start) in since where now - start >= patience {
            since[connection] = nil
            guard let address = address(connection), told.count < Self.capacity else { continue }
            if told.insert(address).inserted { found.append(address) }
        }
        return found.sorted()
    }
}

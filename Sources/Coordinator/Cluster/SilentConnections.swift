import Protocol

/// Connections whose other side has not identified itself. Events and a clock in, connections to warn about out.
struct SilentConnections {
    private var since: [Connection: Duration] = [:]
    /// Addresses that the user was told about.
    private var told: Set<String> = []

    /// Maximum number of connections and addresses that are remembered.
    private static let capacity = 1024

    mutating func opened(_ connection: Connection, at now: Duration) {
        if since.count < Self.capacity { since[connection] = now }
    }

    /// The other side has said something.
    mutating func heard(_ connection: Connection?) {
        if let connection { since[connection] = nil }
    }

    /// Addresses of connections that have been silent for too long; each once.
    ///
    /// - Parameters:
    ///   - patience: how long is too long
    ///   - now: time on the clock of `opened`
    ///   - address: returns the address of the other side; nil if the connection has ended
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

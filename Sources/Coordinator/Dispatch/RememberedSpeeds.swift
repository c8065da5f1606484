/// Speeds of hosts whose only worker is gone: a worker that comes back is as fast as it was. Nobody knows that of one
/// that was never there, and a slow one that is given a unit late holds up a whole step.
struct RememberedSpeeds: Sendable {
    private var speeds: [Int: WorkerSpeed] = [:]

    /// Hosts that are remembered, at most.
    private static let capacity = HostRecord.capacity

    subscript(host: Int) -> WorkerSpeed? { speeds[host] }

    mutating func note(_ speed: WorkerSpeed, of host: Int) {
        if speeds.count >= Self.capacity, speeds[host] == nil { speeds.removeAll() }
        speeds[host] = speed
    }

    /// Drops what is kept of hosts that have no number any more.
    mutating func keep(only hosts: Set<Int>) { speeds = speeds.filter { hosts.contains($0.key) } }
}

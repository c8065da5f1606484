/// Speeds of hosts whose only worker is gone: a worker that comes back is assumed to be as fast as before. The speed of
/// a new worker is unknown, and a slow one that is given a unit late holds up a whole step.
struct RememberedSpeeds: Sendable {
    private var speeds: [Int: WorkerSpeed] = [:]

    /// Maximum number of hosts that are remembered.
    private static let capacity = HostRecord.capacity

    subscript(host: Int) -> WorkerSpeed? { speeds[host] }

    mutating func note(_ speed: WorkerSpeed, of host: Int) {
        if speeds.count >= Self.capacity, speeds[host] == nil { speeds.removeAll() }
        speeds[host] = speed
    }

    /// Drops hosts that no longer have a number.
    mutating func keep(only hosts: Set<Int>) { speeds = speeds.filter { hosts.contains($0.key) } }
}

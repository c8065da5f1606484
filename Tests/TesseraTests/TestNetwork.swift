import Foundation

/// Hosts made of network namespaces: one for the coordinator, and others, each connected to it by its own link.
final class TestNetwork {
    /// Namespace of the coordinator's host.
    let centre: String
    /// Namespaces of the other hosts.
    let hosts: [String]

    /// Whether this machine lets us create network namespaces.
    static let isPossible = geteuid() == 0 && (try? TestNetwork(hosts: 0)) != nil

    /// - Parameters:
    ///   - count: number of hosts in addition to the coordinator's
    ///   - isShared: whether all are on one segment, 10.77.200.0/24, where the coordinator's host is 1 and the others
    ///     follow
    /// - Throws: if the system does not allow it
    init(hosts count: Int, isShared: Bool = false) throws {
        let name = "tessera\(getpid())-\(UUID().uuidString.prefix(4))"
        centre = "\(name)-c"
        hosts = (0..<count).map { "\(name)-\($0)" }
        try Self.ip("netns add \(centre)")
        try Self.ip("-n \(centre) link set lo up")
        if isShared {
            try Self.ip("-n \(centre) link add segment type bridge")
            try Self.ip("-n \(centre) address add 10.77.200.1/24 dev segment")
            try Self.ip("-n \(centre) link set segment up")
        }
        for (i, host) in hosts.enumerated() {
            try Self.ip("netns add \(host)")
            try Self.ip("-n \(host) link set lo up")
            try Self.ip("link add wire\(i) netns \(centre) type veth peer name wire netns \(host)")
            if isShared {
                try Self.ip("-n \(centre) link set wire\(i) master segment")
                try Self.ip("-n \(host) address add 10.77.200.\(i + 2)/24 dev wire")
            } else {
                try Self.ip("-n \(centre) address add 10.77.\(i).1/24 dev wire\(i)")
                try Self.ip("-n \(host) address add 10.77.\(i).2/24 dev wire")
            }
            try Self.ip("-n \(centre) link set wire\(i) up")
            try Self.ip("-n \(host) link set wire up")
        }
    }

    deinit {
        // The links are removed with the namespaces.
        for name in hosts + [centre] { try? Self.ip("netns delete \(name)") }
    }

    /// The coordinator's endpoint, as a host sees it.
    func endpoint(from host: Int, port: Int = 7551) -> String { "tcp://10.77.\(host).1:\(port)" }

    /// Cuts a host's link, or restores it.
    func wire(_ host: Int, isIn: Bool) throws {
        try Self.ip("-n \(centre) link set wire\(host) \(isIn ? "up" : "down")")
    }

    private struct Failed: Error {}

    private static func ip(_ arguments: String) throws {
        let words = ["ip"] + arguments.split(separator: " ").map(String.init)
        guard try Spawned(words).wait() else { throw Failed() }
    }
}

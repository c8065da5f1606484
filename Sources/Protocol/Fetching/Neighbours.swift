import Engine
import Foundation
import Glibc

/// An IPv4 address of a host and the network that it is on: `10.0.0.7/24`.
package struct LANAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address as a number, first octet highest.
    private let address: UInt32
    private let prefix: Int

    /// Prefix lengths of networks that may be a single segment.
    private static let prefixes = 16...30
    /// Maximum number of addresses per host.
    package static let maxCount = 8

    /// Returns nil for anything but `A.B.C.D/N`, for a network that is too large or too small, and for the loopback
    /// interface.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        var binary = in_addr()
        guard parts.count == 2, inet_pton(AF_INET, String(parts[0]), &binary) == 1,
            let prefix = Int(parts[1]), Self.prefixes.contains(prefix), parts[1].utf8.count == 2
        else { return nil }
        self.init(address: UInt32(bigEndian: binary.s_addr), prefix: prefix)
    }

    private init?(address: UInt32, prefix: Int) {
        (self.address, self.prefix) = (address, prefix)
        guard address >> 24 != 127, address >> 28 != 14, address != 0 else { return nil }
    }

    private var network: UInt32 { address >> UInt32(32 - prefix) }

    /// The address without the network.
    package var host: String {
        [24, 16, 8, 0].map { String(address >> UInt32($0) & 255) }.joined(separator: ".")
    }

    package var description: String { "\(host)/\(prefix)" }

    /// Whether another host's address is on the same network.
    package func reaches(_ other: LANAddress) -> Bool {
        prefix == other.prefix && network == other.network && address != other.address
    }

    /// The addresses of this machine.
    package static var own: [LANAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [LANAddress] = []
        var next = list
        while let entry = next?.pointee, found.count < maxCount {
            next = entry.ifa_next
            guard Int32(bitPattern: entry.ifa_flags) & Int32(IFF_UP) != 0,
                let address = number(entry.ifa_addr), let mask = number(entry.ifa_netmask),
                let own = LANAddress(address: address, prefix: mask.nonzeroBitCount),
                prefixes.contains(own.prefix)
            else { continue }
            found.append(own)
        }
        return found
    }

    private static func number(_ address: UnsafeMutablePointer<sockaddr>?) -> UInt32? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            UInt32(bigEndian: $0.pointee.sin_addr.s_addr)
        }
    }
}

/// Where a worker serves its model's files to its neighbours.
package struct ModelShare: Equatable, Sendable {
    /// The public key that it listens with.
    package var key: PublicKey
    package var port: UInt16
    package var addresses: [LANAddress]

    package init(key: PublicKey, port: UInt16, addresses: [LANAddress]) {
        (self.key, self.port, self.addresses) = (key, port, addresses)
    }

    /// Returns nil if the worker shares nothing.
    init?(_ wire: WireShare) throws(FrameError) {
        guard !wire.key.isEmpty else { return nil }
        guard let key = PublicKey(bytes: Array(wire.key)), let port = UInt16(exactly: wire.port),
            port > 0
        else { throw .field("hello.share") }
        self.init(key: key, port: port, addresses: try LANAddress.list(wire.addresses))
    }

    var wire: WireShare {
        .with {
            $0.key = Data(key.bytes)
            $0.port = UInt32(port)
            $0.addresses = addresses.map(\.description)
        }
    }
}

extension LANAddress {
    /// - Throws: `FrameError` if there are too many addresses, or one is invalid
    static func list(_ texts: [String]) throws(FrameError) -> [LANAddress] {
        guard texts.count <= maxCount else { throw .field("addresses") }
        var found: [LANAddress] = []
        for text in texts {
            guard let address = LANAddress(text) else { throw .field("addresses") }
            found.append(address)
        }
        return found
    }
}

/// A worker that has the model, as described to another worker on its network.
package struct Neighbour: Hashable, Sendable {
    /// Its address on the network that both are on.
    package var address: LANAddress
    package var port: UInt16
    package var key: PublicKey

    package init(address: LANAddress, port: UInt16, key: PublicKey) {
        (self.address, self.port, self.key) = (address, port, key)
    }

    /// Maximum number of neighbours that a worker is told of.
    package static let maxCount = 8

    init(_ wire: WireNeighbour) throws(FrameError) {
        guard let address = LANAddress(wire.address), let port = UInt16(exactly: wire.port),
            port > 0, let key = PublicKey(bytes: Array(wire.key))
        else { throw .field("chunk.neighbours") }
        self.init(address: address, port: port, key: key)
    }

    var wire: WireNeighbour {
        .with {
            $0.address = address.description
            $0.port = UInt32(port)
            $0.key = Data(key.bytes)
        }
    }
}

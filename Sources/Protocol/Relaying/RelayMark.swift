import Foundation

/// What a relay adds to a worker's hello.
package struct RelayMark: Hashable, Sendable {
    /// Id of the relay's process: 16 random bytes.
    package let id: [UInt8]
    /// The machine of the site that the worker runs on: the fingerprint of its key, or its address.
    package let machine: String

    static let idBytes = 16

    package init(id: [UInt8], machine: String) { (self.id, self.machine) = (id, machine) }

    /// A random id for a new process.
    package static func newID() -> [UInt8] { (0..<idBytes).map { _ in .random(in: .min ... .max) } }

    init(_ wire: WireRelay) throws(FrameError) {
        guard wire.id.count == Self.idBytes else { throw .field("hello.relay") }
        self.init(id: Array(wire.id), machine: printable(wire.machine, limit: 100))
    }

    var wire: WireRelay {
        .with {
            $0.id = Data(id)
            $0.machine = machine
        }
    }
}

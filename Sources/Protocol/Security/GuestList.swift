import Synchronization

/// Keys that a socket admits temporarily; may be replaced from another thread.
package final class GuestList: Sendable {
    private let keys = Mutex<Set<PublicKey>>([])

    package init() {}

    /// Maximum number of keys.
    package static let maxCount = 64

    package func replace(_ new: Set<PublicKey>) { keys.withLock { $0 = new } }

    package func contains(_ key: PublicKey) -> Bool { keys.withLock { $0.contains(key) } }

    package var isEmpty: Bool { keys.withLock(\.isEmpty) }
}

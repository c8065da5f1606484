import Engine
import Protocol

/// Data that was sent to each connection and waits until the other side reads it: ZeroMQ queues a thousand messages,
/// whatever their size. Decides what a peer may still be sent. What the peer's system has acknowledged comes from
/// outside.
///
/// Only the content of messages is counted, without framing and encryption, so a little more may wait than is counted.
package struct Outboxes {
    /// Maximum bytes of the model that wait for one connection; the last message may exceed it.
    package static let maxUnread = 32 << 20
    /// The same for all connections with one key. Each of them may have one more chunk waiting: machines behind a relay
    /// share a key, and those that do not read must not keep the others from the model.
    package static let maxUnreadOfKey = 64 << 20

    private struct Outbox {
        let key: PublicKey?
        /// Bytes that the other side has acknowledged; nil if the connection has ended.
        let acknowledged: () -> Int?
        /// The count of acknowledged bytes at which everything that was sent so far has arrived.
        var sent: Int
        /// Chunks that it asked for and has not been sent yet.
        var asked = 0
        /// Whether its last request was for more than it may have.
        var wantsMore = false
        /// Where each embedding that was sent last ends, on the count of `sent`.
        var embeddings: [EmbeddingDigest: Int] = [:]

        /// Bytes that were sent but not yet acknowledged.
        mutating func unread() -> Int {
            guard let acknowledged = acknowledged() else { return 0 }
            // Data that is not counted was acknowledged, too.
            sent = max(sent, acknowledged)
            return sent - acknowledged
        }

        /// Unacknowledged bytes, including the chunks that will be sent.
        mutating func promised() -> Int { unread() + asked * ModelCatalogue.chunkBytes }
    }

    /// Outboxes by routing id.
    private var outboxes: [[UInt8]: Outbox] = [:]

    package init() {}

    /// Begins to count for a connection, unless it is counted already or cannot be counted.
    ///
    /// - Parameters:
    ///   - id: its routing id
    ///   - key: key that the other side has authenticated with
    ///   - acknowledged: returns how many bytes the other side has acknowledged; nil if the connection has ended, or if
    ///     this is unknown
    package mutating func open(
        _ id: [UInt8],
        key: PublicKey?,
        acknowledged: @escaping () -> Int?
    ) {
        guard outboxes[id] == nil, let start = acknowledged() else { return }
        outboxes[id] = Outbox(key: key, acknowledged: acknowledged, sent: start)
    }

    /// A message was sent.
    package mutating func sent(_ bytes: Int, to id: [UInt8]) { outboxes[id]?.sent += bytes }

    /// How many more chunks of the model a peer may ask for. Unlimited if nothing is known about its connection.
    package mutating func chunksAllowed(_ id: [UInt8]) -> Int {
        room(for: id) / ModelCatalogue.chunkBytes
    }

    /// This many more chunks will be sent to a peer.
    package mutating func asked(_ chunks: Int, by id: [UInt8]) { outboxes[id]?.asked += chunks }

    /// Records whether the last request of a peer was for more chunks than it may have now.
    package mutating func note(wantsMore: Bool, of id: [UInt8]) {
        outboxes[id]?.wantsMore = wantsMore
    }

    /// Whether to tell a peer that it may ask again: it has been sent everything that it was promised, and wanted more.
    package mutating func takeWish(of id: [UInt8]) -> Bool {
        guard let outbox = outboxes[id], outbox.wantsMore, outbox.asked == 0 else { return false }
        outboxes[id]?.wantsMore = false
        return true
    }

    /// A chunk that a peer asked for is ready.
    ///
    /// - Returns: whether it may be sent
    package mutating func takeChunk(for id: [UInt8]) -> Bool {
        if let asked = outboxes[id]?.asked, asked > 0 { outboxes[id]?.asked -= 1 }
        return room(for: id) > 0
    }

    /// A peer wants an embedding.
    ///
    /// - Returns: false if it was sent already and has not been read yet
    package mutating func mayHave(_ digest: EmbeddingDigest, _ id: [UInt8]) -> Bool {
        // What is sent now ends after everything that has been acknowledged.
        guard let unread = outboxes[id]?.unread(), let outbox = outboxes[id],
            let end = outbox.embeddings[digest]
        else { return true }
        return outbox.sent - unread >= end
    }

    /// An embedding was sent.
    package mutating func sent(_ digest: EmbeddingDigest, to id: [UInt8]) {
        guard var outbox = outboxes[id] else { return }
        outbox.embeddings[digest] = outbox.sent
        if outbox.embeddings.count > 64, let acknowledged = outbox.acknowledged() {
            outbox.embeddings = outbox.embeddings.filter { $0.value > acknowledged }
        }
        outboxes[id] = outbox
    }

    /// Forgets connections that have ended.
    package mutating func sweep() { outboxes = outboxes.filter { $0.value.acknowledged() != nil } }

    /// Bytes of the model that may still be queued for a connection.
    private mutating func room(for id: [UInt8]) -> Int {
        guard let own = outboxes[id]?.promised() else { return .max }
        var room = Self.maxUnread - own
        if let key = outboxes[id]?.key {
            var all = 0
            for (other, outbox) in outboxes where outbox.key == key {
                all += outboxes[other]?.promised() ?? 0
            }
            room = min(room, max(Self.maxUnreadOfKey - all, ModelCatalogue.chunkBytes - own))
        }
        return max(0, room)
    }
}

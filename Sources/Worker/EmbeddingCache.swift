import Protocol

/// The embeddings that were used last, by digest: of prompts, and tokens of a picture.
package struct EmbeddingCache: Sendable {
    private let capacity: Int
    /// Least recently used first.
    private var entries: [(digest: EmbeddingDigest, value: PromptTensors)] = []

    /// - Parameter capacity: at least the two of one job
    package init(capacity: Int = 16) {
        precondition(capacity >= 2, "\(capacity)")
        self.capacity = capacity
    }

    /// Whether it is here.
    package func contains(_ digest: EmbeddingDigest) -> Bool {
        entries.contains { $0.digest == digest }
    }

    /// Looks one up, which makes it the most recently used.
    package mutating func find(_ digest: EmbeddingDigest) -> PromptTensors? {
        guard let place = entries.firstIndex(where: { $0.digest == digest }) else { return nil }
        let entry = entries.remove(at: place)
        entries.append(entry)
        return entry.value
    }

    /// Enters one; the least recently used makes room.
    package mutating func insert(_ value: PromptTensors, as digest: EmbeddingDigest) {
        entries.removeAll { $0.digest == digest }
        entries.append((digest, value))
        while entries.count > capacity || (entries.count > 2 && bytes > Self.mostBytes) {
            entries.removeFirst()
        }
    }

    /// Bytes that are kept, unless a single job needs more.
    private static let mostBytes = 192 << 20

    private var bytes: Int {
        entries.reduce(0) { $0 + 4 * ($1.value.context.count + ($1.value.pooled?.count ?? 0)) }
    }
}

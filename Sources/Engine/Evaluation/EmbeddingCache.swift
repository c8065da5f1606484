/// The most recently used embeddings by digest.
package struct EmbeddingCache: Sendable {
    private let capacity: Int
    /// Embeddings in order of use, the least recently used first.
    private var entries: [Embedding] = []

    /// Maximum bytes to keep, unless a single unit needs more.
    private static let maxBytes = 192 << 20

    /// - Parameter capacity: maximum number of embeddings; at least as many as one unit references
    package init(capacity: Int = 16) {
        precondition(capacity >= 2, "\(capacity)")
        self.capacity = capacity
    }

    package func contains(_ digest: EmbeddingDigest) -> Bool {
        entries.contains { $0.digest == digest }
    }

    /// Looks up an embedding and marks it as the most recently used.
    package mutating func find(_ digest: EmbeddingDigest) -> Embedding? {
        guard let place = entries.firstIndex(where: { $0.digest == digest }) else { return nil }
        let entry = entries.remove(at: place)
        entries.append(entry)
        return entry
    }

    /// Adds an embedding and evicts the least recently used ones.
    package mutating func insert(_ value: Embedding) {
        entries.removeAll { $0.digest == value.digest }
        entries.append(value)
        while entries.count > capacity || (entries.count > 2 && bytes > Self.maxBytes) {
            entries.removeFirst()
        }
    }

    private var bytes: Int {
        entries.reduce(0) { $0 + 4 * ($1.context.count + ($1.pooled?.count ?? 0)) }
    }
}

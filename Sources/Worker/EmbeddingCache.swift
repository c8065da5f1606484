import Protocol

/// The prompt embeddings that were used last, by digest.
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
        if entries.count > capacity { entries.removeFirst() }
    }
}

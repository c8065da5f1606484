/// A prompt embedding that transformer blocks attend to, with each block's keys and values for it. They are the same in
/// every step of a render, so each is computed only once.
final class PromptContext {
    /// The prompt embedding, `[n, tokens, width]`.
    let embedding: Tensor
    private let activation: Activation
    private var projections: [ObjectIdentifier: Activation] = [:]

    init(_ embedding: Tensor, backend: any Backend) {
        self.embedding = embedding
        activation = backend.persistent { backend.upload(embedding) }
    }

    /// The embedding after `layer`; computed once per layer.
    func projected(by layer: Linear) -> Activation {
        let key = ObjectIdentifier(layer.weights.storage)
        if let known = projections[key] { return known }
        let new = layer.backend.persistent { layer(activation) }
        projections[key] = new
        return new
    }
}

/// The most recently used prompts, most recent first.
struct PromptContexts {
    /// Enough for the prompts of one job in each batch size that its views come in.
    private static let maxCount = 3
    private var recent: [PromptContext] = []

    /// The context of an embedding; reused if it is in the cache.
    mutating func context(_ embedding: Tensor, backend: any Backend) -> PromptContext {
        if let known = recent.firstIndex(where: { $0.embedding.isIdentical(to: embedding) }) {
            recent.insert(recent.remove(at: known), at: 0)
        } else {
            if recent.count == Self.maxCount { recent.removeLast() }
            recent.insert(PromptContext(embedding, backend: backend), at: 0)
        }
        return recent[0]
    }
}

extension Tensor {
    /// Whether both tensors have the same shape and the same bits.
    fileprivate func isIdentical(to other: Tensor) -> Bool {
        guard shape == other.shape else { return false }
        return withFloats { a in
            other.withFloats { b in
                Swift.zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern }
            }
        }
    }
}

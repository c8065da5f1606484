import Engine
import Testing

@Suite struct EmbeddingCacheTests {
    private func embedding(_ value: Float) -> Embedding {
        Embedding(context: Tensor([value], shape: [1, 1, 1]))
    }

    @Test func theLeastRecentlyUsedMakesRoom() {
        var cache = EmbeddingCache(capacity: 2)
        let all = (0..<3).map { embedding(Float($0)) }
        cache.insert(all[0])
        cache.insert(all[1])
        #expect(cache.find(all[0].digest)?.context.values == [0])
        cache.insert(all[2])
        #expect(all.map { cache.contains($0.digest) } == [true, false, true])
    }
}

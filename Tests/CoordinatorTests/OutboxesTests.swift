import Coordinator
import Engine
import Protocol
import Testing

/// Data that waits for its receiver to read it, and how much may be added.
@Suite struct OutboxesTests {
    /// Bytes that the other end of a connection has acknowledged; nil when it has ended.
    private final class Reader {
        var acknowledged: Int? = 1000
    }

    private let a: [UInt8] = [1]
    private let b: [UInt8] = [2]
    private let c: [UInt8] = [3]
    private let chunk = ModelCatalogue.chunkBytes

    private func open(_ outboxes: inout Outboxes, _ id: [UInt8], _ key: PublicKey?) -> Reader {
        let reader = Reader()
        outboxes.open(id, key: key) { reader.acknowledged }
        return reader
    }

    @Test func aPeerThatDoesNotReadGetsNoMoreThanItsLimit() throws {
        var outboxes = Outboxes()
        let reader = open(&outboxes, a, try KeyPair.new().publicKey)
        let limit = Outboxes.maxUnread / chunk
        #expect(outboxes.chunksAllowed(a) == limit)
        // Requested chunks count before they are sent.
        outboxes.asked(limit, by: a)
        #expect(outboxes.chunksAllowed(a) == 0)
        for _ in 0..<limit {
            let isSent = outboxes.takeChunk(for: a)
            #expect(isSent)
            outboxes.sent(chunk + 40, to: a)
        }
        #expect(outboxes.chunksAllowed(a) == 0)
        let isMore = outboxes.takeChunk(for: a)
        #expect(!isMore)
        // It reads half, and then everything, including the overhead of encryption.
        reader.acknowledged = 1000 + limit / 2 * (chunk + 40)
        #expect(outboxes.chunksAllowed(a) == limit / 2 - 1)
        reader.acknowledged = 1000 + limit * (chunk + 400)
        #expect(outboxes.chunksAllowed(a) == limit)
        // Bytes added on the way do not become credit for later.
        outboxes.sent(chunk, to: a)
        #expect(outboxes.chunksAllowed(a) == limit - 1)
    }

    /// A file of one chunk counts as one; a catalogue may be larger.
    @Test func aLargeAnswerIsMeasuredWhenItIsThere() throws {
        var outboxes = Outboxes()
        _ = open(&outboxes, a, try KeyPair.new().publicKey)
        outboxes.asked(3, by: a)
        for _ in 1...2 {
            let isSent = outboxes.takeChunk(for: a)
            #expect(isSent)
            outboxes.sent(16 << 20, to: a)
        }
        let isMore = outboxes.takeChunk(for: a)
        #expect(!isMore)
    }

    @Test func connectionsOfOneKeyShareALimit() throws {
        var outboxes = Outboxes()
        let (key, other) = (try KeyPair.new().publicKey, try KeyPair.new().publicKey)
        let first = open(&outboxes, a, key)
        for id in [a, b] {
            if id == b { _ = open(&outboxes, b, key) }
            outboxes.sent(Outboxes.maxUnread, to: id)
        }
        // A third connection gets one chunk at a time, since it may be another machine behind the same relay.
        let third = open(&outboxes, c, key)
        #expect(outboxes.chunksAllowed(c) == 1)
        outboxes.asked(1, by: c)
        #expect(outboxes.chunksAllowed(c) == 0)
        let isSent = outboxes.takeChunk(for: c)
        #expect(isSent)
        outboxes.sent(chunk + 40, to: c)
        #expect(outboxes.chunksAllowed(c) == 0)
        third.acknowledged = 1000 + chunk + 40
        #expect(outboxes.chunksAllowed(c) == 1)
        _ = open(&outboxes, [4], other)
        #expect(outboxes.chunksAllowed([4]) == Outboxes.maxUnread / chunk)
        // One connection has ended, and nothing waits for it.
        first.acknowledged = nil
        #expect(outboxes.chunksAllowed(c) == Outboxes.maxUnread / chunk)
        outboxes.sweep()
        #expect(outboxes.chunksAllowed(a) == Int.max / chunk)
        #expect(outboxes.chunksAllowed(b) == 0)
    }

    /// A peer is told once that it may ask again, after the last chunk that it gets.
    @Test func whoWantsMoreIsTold() throws {
        var outboxes = Outboxes()
        _ = open(&outboxes, a, try KeyPair.new().publicKey)
        outboxes.asked(2, by: a)
        outboxes.note(wantsMore: true, of: a)
        var wishes: [Bool] = []
        for _ in 1...2 {
            _ = outboxes.takeChunk(for: a)
            wishes.append(outboxes.takeWish(of: a))
        }
        wishes.append(outboxes.takeWish(of: a))
        #expect(wishes == [false, true, false])
        // Later it got everything that it asked for.
        outboxes.note(wantsMore: true, of: a)
        outboxes.note(wantsMore: false, of: a)
        let isTold = outboxes.takeWish(of: a)
        #expect(!isTold)
    }

    /// Over a Unix domain socket, nobody knows what was read.
    @Test func whereNothingIsKnownNothingIsRefused() {
        var outboxes = Outboxes()
        outboxes.open(a, key: nil) { nil }
        outboxes.sent(Outboxes.maxUnread * 2, to: a)
        let (chunks, isSent) = (outboxes.chunksAllowed(a), outboxes.takeChunk(for: a))
        #expect(chunks > 1000 && isSent)
    }

    @Test func anEmbeddingThatWaitsToBeReadIsNotSentAgain() {
        var outboxes = Outboxes()
        let reader = open(&outboxes, a, nil)
        let embedding = Embedding(context: Tensor([1, 2], shape: [1, 1, 2]))
        let digest = embedding.digest
        func mayHave() -> Bool { outboxes.mayHave(digest, a) }
        #expect(mayHave())
        outboxes.sent(500, to: a)
        outboxes.sent(digest, to: a)
        #expect(!mayHave())
        reader.acknowledged = 1499
        #expect(!mayHave())
        // It was read, and may have been dropped since.
        reader.acknowledged = 1500
        #expect(mayHave())
    }
}

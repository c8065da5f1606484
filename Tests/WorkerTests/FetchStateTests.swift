import Engine
import Protocol
import TestSupport
import Testing
import Worker

/// Which chunks are requested, and what happens to the answers.
@Suite struct FetchStateTests {
    private let file: ModelCatalogue.File

    init() {
        let chunks = (0..<6).map { number in
            [UInt8(number)].withUnsafeBytes { ModelCatalogue.Digest(of: $0) }
        }
        file = ModelCatalogue.File(
            name: "model/f",
            digest: chunks[0],
            size: 5 * ModelCatalogue.chunkBytes + 7,
            chunks: chunks
        )
    }

    private func arrived(_ chunk: Int, as other: Int? = nil) -> FetchState.Event {
        .arrived(chunk: chunk, digest: file.chunks[other ?? chunk])
    }

    @Test func aFewAreAskedForAtATime() {
        var state = FetchState(file)
        #expect(state.handle(.connected, at: .zero) == [.ask([0, 1, 2, 3])])
        #expect(state.handle(arrived(0), at: .zero) == [.keep(0)])
        #expect(state.handle(arrived(1), at: .zero) == [.keep(1), .ask([4, 5])])
        for chunk in 2..<5 {
            #expect(state.handle(arrived(chunk), at: .zero) == [.keep(chunk)])
        }
        #expect(state.handle(arrived(5), at: .zero) == [.keep(5), .finish])
        #expect(state.handle(.tick, at: .seconds(100)).isEmpty)
    }

    @Test func whatIsThereIsNotAskedFor() {
        var state = FetchState(file, present: 5)
        #expect(state.handle(.connected, at: .zero) == [.ask([5])])
        var whole = FetchState(file, present: 6)
        #expect(whole.handle(.connected, at: .zero) == [.finish])
    }

    @Test func aLieEndsIt() {
        var state = FetchState(file)
        _ = state.handle(.connected, at: .zero)
        let failure = FetchFailure.otherContent(file: "model/f", chunk: 0)
        #expect(state.handle(arrived(0, as: 1), at: .zero) == [.fail(failure)])
        #expect(state.handle(arrived(0), at: .zero).isEmpty && state.present == 0)
    }

    @Test func silenceMeansAnotherConnection() {
        var state = FetchState(file, patience: .seconds(20))
        _ = state.handle(.connected, at: .zero)
        #expect(state.handle(.tick, at: .seconds(19)).isEmpty)
        #expect(state.handle(arrived(0), at: .seconds(19)) == [.keep(0)])
        #expect(state.handle(.tick, at: .seconds(38)).isEmpty)
        #expect(state.handle(.tick, at: .seconds(40)) == [.reconnect])
        // Chunks that may still arrive from the old connection are not accepted twice.
        #expect(state.handle(.connected, at: .seconds(40)) == [.ask([1, 2, 3, 4])])
        #expect(state.handle(arrived(0), at: .seconds(41)).isEmpty)
        #expect(state.handle(arrived(2), at: .seconds(41)).isEmpty)
        #expect(state.handle(arrived(1), at: .seconds(41)) == [.keep(1)])
    }

    @Test func aCoordinatorThatIsNotReadyIsAskedAgain() {
        var state = FetchState(file, pause: .seconds(1))
        _ = state.handle(.connected, at: .zero)
        #expect(state.handle(.later, at: .zero).isEmpty)
        #expect(state.handle(.tick, at: .milliseconds(900)).isEmpty)
        #expect(state.handle(.tick, at: .seconds(1)) == [.ask([0, 1, 2, 3])])
        let failure = FetchFailure.refused(file: "model/f", reason: "no")
        #expect(state.handle(.refused("no"), at: .seconds(2)) == [.fail(failure)])
    }

    /// With any order of events, each chunk is kept once, in order, and the fetch ends.
    @Test func anyOrderOfEventsKeepsEveryChunkOnce() {
        var random = SplitMix(7)
        for _ in 0..<300 {
            var state = FetchState(file, patience: .seconds(2))
            var (kept, asked, now, steps) = ([Int](), [Int](), Duration.zero, 0)
            var actions = state.handle(.connected, at: now)
            while !actions.contains(.finish), steps < 10_000 {
                steps += 1
                for action in actions {
                    switch action {
                    case .ask(let chunks): asked += chunks
                    case .keep(let chunk): kept.append(chunk)
                    case .reconnect: asked = []
                    case .finish, .fail: break
                    }
                }
                now += .milliseconds(100)
                let isReconnecting = actions.contains(.reconnect)
                switch random.next() % 8 {
                case _ where isReconnecting: actions = state.handle(.connected, at: now)
                case 0: actions = state.handle(.later, at: now)
                case 1: actions = state.handle(.tick, at: now)
                case 2: actions = state.handle(arrived(Int(random.next() % 6)), at: now)
                case 3 where !asked.isEmpty:
                    asked.removeFirst()  // lost
                    actions = []
                case _ where !asked.isEmpty:
                    actions = state.handle(arrived(asked.removeFirst()), at: now)
                default: actions = state.handle(.tick, at: now)
                }
            }
            for case .keep(let chunk) in actions { kept.append(chunk) }
            #expect(kept == Array(0..<6) && steps < 10_000)
        }
    }
}

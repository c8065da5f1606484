import Engine
import Foundation
import Protocol
import Testing

/// Messages about neighbours arrive as they were sent; those that are too large or make no sense are malformed.
@Suite struct NeighbourMessageTests {
    private let key: PublicKey

    init() throws { key = try KeyPair.new().publicKey }

    private func addresses(_ texts: [String]) throws -> [LANAddress] {
        try texts.map { try #require(LANAddress($0)) }
    }

    private func hello(_ share: ModelShare?) -> WorkerMessage.Hello {
        var hello = WorkerMessage.Hello(
            name: "box",
            model: ModelIdentity(digest: "d", path: "/m"),
            threads: 1,
            processor: "p",
            backend: "openblas",
            precision: "f32",
            processID: 7
        )
        hello.share = share
        return hello
    }

    @Test func allOfThemArrive() throws {
        let own = try addresses(["10.0.0.7/24", "192.168.255.1/30"])
        for share in [nil, ModelShare(key: key, port: 7552, addresses: own)] {
            let frames = WorkerMessage.hello(hello(share)).frames
            guard case .hello(let came) = try WorkerMessage(frames: frames) else {
                Issue.record("not a hello")
                return
            }
            #expect(came == hello(share))
        }
        let digest = try #require(ModelCatalogue.Digest(bytes: Array(0..<32)))
        let request = ChunkRequest(digest, [0], addresses: own)
        guard
            case .fetch(let asked) = try WorkerMessage(frames: WorkerMessage.fetch(request).frames)
        else {
            Issue.record("not a fetch")
            return
        }
        #expect(asked == request)
        var answer = ChunkAnswer(digest, 0, .bytes([1, 2, 3]))
        answer.neighbours = [Neighbour(address: own[0], port: 65_535, key: key)]
        guard case .chunk(let came) = try CoordinatorMessage(frames: answer.message.frames),
            case .admit(let keys) = try CoordinatorMessage(
                frames: CoordinatorMessage.admit([key]).frames
            )
        else {
            Issue.record("not a chunk, or no list")
            return
        }
        #expect(came == answer && keys == [key])
    }

    @Test func tooManyAreRefused() throws {
        let many = try addresses((1...9).map { "10.0.0.\($0)/24" })
        let share = ModelShare(key: key, port: 1, addresses: many)
        let digest = try #require(ModelCatalogue.Digest(bytes: Array(0..<32)))
        var answer = ChunkAnswer(digest, 0, .later)
        answer.neighbours = many.map { Neighbour(address: $0, port: 1, key: key) }
        let keys = Set(try (0..<65).map { _ in try KeyPair.new().publicKey })
        for message in [
            WorkerMessage.hello(hello(share)),
            .fetch(ChunkRequest(digest, [0], addresses: many)),
            .hello(hello(ModelShare(key: key, port: 0, addresses: []))),
        ] {
            #expect(throws: FrameError.self) { try WorkerMessage(frames: message.frames) }
        }
        for message in [answer.message, .admit(keys)] {
            #expect(throws: FrameError.self) { try CoordinatorMessage(frames: message.frames) }
        }
    }
}

extension ChunkAnswer {
    fileprivate var message: CoordinatorMessage { .chunk(self) }
}

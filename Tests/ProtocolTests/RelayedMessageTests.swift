import Engine
import Protocol
import Testing

/// The parts of messages that a relay reads.
@Suite struct RelayedMessageTests {
    @Test func aHelloKeepsItsRelay() throws {
        var hello = WorkerMessage.Hello(
            name: "a",
            model: ModelIdentity(digest: "ab", path: "p"),
            threads: 1,
            processor: "",
            backend: "",
            precision: "",
            processID: 1
        )
        hello.relay = RelayMark(id: RelayMark.newID(), machine: "a machine")
        guard case .hello(let read) = try WorkerMessage(frames: WorkerMessage.hello(hello).frames)
        else {
            Issue.record("another message")
            return
        }
        #expect(read == hello)
        hello.relay = RelayMark(id: [1, 2, 3], machine: "")
        #expect(throws: FrameError.field("hello.relay")) {
            try WorkerMessage(frames: WorkerMessage.hello(hello).frames)
        }
    }

    @Test func messagesAreToldApart() throws {
        func read(_ message: CoordinatorMessage) throws -> String {
            switch try RelayedMessage(frames: message.frames) {
            case .task: "task"
            case .file: "file"
            case .admit(let keys): "admit \(keys.count)"
            case .removed: "removed"
            case .ended: "ended"
            case .welcome: "welcome"
            case .other: "other"
            }
        }
        #expect(try read(.admit([try KeyPair.new().publicKey])) == "admit 1")
        #expect(try read(.goodbye(.removed)) == "removed")
        #expect(try read(.goodbye(.leaving)) == "ended")
        #expect(try read(.goodbye(.unknown)) == "other")
        let welcome = CoordinatorMessage.Welcome(heartbeat: .seconds(1), timeout: .seconds(9))
        #expect(try read(.welcome(welcome)) == "welcome")
        #expect(try read(.heartbeat) == "other")
        let digest = try #require(ModelCatalogue.Digest(bytes: [UInt8](repeating: 1, count: 32)))
        #expect(try read(.chunk(ChunkAnswer(digest, 0, .bytes([1, 2])))) == "file")
        #expect(try read(.abandon([UnitID(1)])) == "other")
        guard case .other = try RelayedMessage(frames: [[1, 2, 3]]) else {
            Issue.record("garbage")
            return
        }
    }
}

import Coordinator
import Engine
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing
import Worker

/// Peers that request the model but do not read it.
@Suite struct UnreadChunksTests {
    private let path = Fixtures.networks.first?.checkpoint ?? ""

    private func ask(_ socket: borrowing Socket, _ chunks: ChunkRequest) throws -> Delivery {
        try socket.send(WorkerMessage.fetch(chunks).frames)
    }

    /// The number of chunks that can still be read without further requests.
    private func drain(_ socket: borrowing Socket) throws -> Int {
        let wakeup = try Wakeup()
        var (count, last) = (0, ContinuousClock.now)
        while ContinuousClock.now - last < .seconds(2) {
            try socket.wait(wakeup, for: .milliseconds(20))
            while case .message(let frames) = try socket.receive() {
                guard case .chunk(let answer) = try CoordinatorMessage(frames: frames),
                    case .bytes = answer.content
                else { continue }
                (count, last) = (count + 1, .now)
            }
        }
        return count
    }

    /// Such a peer gets what its limit allows, others get the model meanwhile, and it continues once it reads.
    @Test func aPeerThatNeverReadsCostsAFewTensOfMegabytes() throws {
        let model = try Model(path: path)
        let (coordinator, silent) = (try KeyPair.new(), try KeyPair.new())
        let honest = try KeyPair.new()
        var configuration = Cluster.Configuration(
            endpoint: try Endpoint("tcp://127.0.0.1:0"),
            model: try ModelIdentity(of: model)
        )
        configuration.security = .coordinator(
            coordinator,
            allowed: try AllowedKeys(file: nil, own: [silent.publicKey, honest.publicKey])
        )
        let heard = HeardLines()
        let cluster = try Cluster(configuration, logger: heard.logger())
        defer { cluster.stop() }
        let hex = try FileDigest.of(
            "\(path)/unet/diffusion_pytorch_model.safetensors",
            cache: nil
        )
        let file = try #require(ModelCatalogue.Digest(hex: hex))
        // Its own queue is short, so that unread messages stay with the coordinator.
        var limits = FrameLimits()
        limits.waiting = 1
        let socket = try Socket(
            .dealer,
            in: SocketContext(),
            security: .worker(silent, coordinator: coordinator.publicKey),
            limits: limits
        )
        try socket.connect(cluster.endpoint)
        let sixteen = ChunkRequest(file, Array(repeating: 0, count: ChunkRequest.maxChunks))
        // Requests for 3.2 GB.
        for _ in 0..<200 {
            #expect(try ask(socket, sixteen) == .sent)
            Thread.sleep(forTimeInterval: 0.01)
        }
        #expect(heard.count("requests the model faster than it reads") >= 1, "\(heard.text)")
        try inTemporaryFolder { folder in
            let security = Security.worker(honest, coordinator: coordinator.publicKey)
            let cache = ModelCache(path: folder)
            let fetcher = ModelFetcher(cluster.endpoint, security, cache, quiet)
            let digest = configuration.required.model.digest
            let found = try fetcher.model(digest, Cancellation())
            #expect(try found?.digest() == digest)
        }
        let most = Outboxes.maxUnread / ModelCatalogue.chunkBytes
        let read = try drain(socket)
        // The peer's system and its own queue hold some more.
        #expect((most / 2...most + 16).contains(read), "\(read)")
        // What it has read makes room for more.
        #expect(try ask(socket, sixteen) == .sent)
        #expect(try drain(socket) == 16)
    }

    /// A worker that requests the same embedding again and again, and does not read.
    @Test func anEmbeddingIsNotQueuedTwice() throws {
        var configuration = Cluster.Configuration(
            endpoint: try Endpoint("tcp://127.0.0.1:0"),
            model: ModelIdentity(digest: String(repeating: "ab", count: 32), path: "/m")
        )
        configuration.policy.silence = .seconds(60)
        let cluster = try Cluster(configuration, logger: quiet)
        defer { cluster.stop() }
        let job = cluster.open(geometry)
        defer { job.end() }
        // 8 MiB, much more than sockets buffer.
        let embedding = Embedding(context: Tensor(zeros: [1, 1024, 2048]))
        let views = makeViews(1, prompts: Prompts(positive: embedding, negative: nil))
        let thread = NamedThread("render") { _ = try? job.evaluate(views) { _ in } }
        defer {
            job.cancel()
            thread.join()
        }
        var limits = FrameLimits()
        limits.waiting = 1
        let socket = try Socket(.dealer, in: SocketContext(), limits: limits)
        try socket.connect(cluster.endpoint)
        let hello = WorkerMessage.Hello(
            name: "silent",
            model: configuration.required.model,
            threads: 1,
            processor: "",
            backend: "openblas",
            precision: "f32",
            processID: 1
        )
        #expect(try socket.send(WorkerMessage.hello(hello).frames) == .sent)
        #expect(try socket.send(WorkerMessage.ask(1).frames) == .sent)
        for _ in 0..<100 {
            #expect(try socket.send(WorkerMessage.wanted([embedding.digest]).frames) == .sent)
            Thread.sleep(forTimeInterval: 0.01)
        }
        let wakeup = try Wakeup()
        var (count, last) = (0, ContinuousClock.now)
        while ContinuousClock.now - last < .seconds(2) {
            try socket.wait(wakeup, for: .milliseconds(20))
            while case .message(let frames) = try socket.receive() {
                guard case .embedding = try CoordinatorMessage(frames: frames) else { continue }
                (count, last) = (count + 1, .now)
            }
        }
        #expect((1...4).contains(count), "\(count)")
    }
}

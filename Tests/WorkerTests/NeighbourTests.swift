import Engine
import Foundation
import Logging
import Protocol
import Synchronization
import TestSupport
import Testing
import Worker

/// Workers that fetch the model from others on their network: from honest ones, and from ones that lie, stall or
/// refuse.
@Suite struct NeighbourTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A file of three chunks.
    private struct Content {
        let file: ModelCatalogue.File
        let chunks: [[UInt8]]

        init() {
            var random = SplitMix(11)
            chunks = [ModelCatalogue.chunkBytes, ModelCatalogue.chunkBytes, 77].map { count in
                (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            }
            func digest(_ bytes: [UInt8]) -> ModelCatalogue.Digest {
                bytes.withUnsafeBytes { ModelCatalogue.Digest(of: $0) }
            }
            let whole = chunks.flatMap(\.self)
            file = ModelCatalogue.File(
                name: "model/f",
                digest: digest(whole),
                size: whole.count,
                chunks: chunks.map(digest)
            )
        }
    }

    /// A server that answers as a test specifies, without keys.
    private final class Server {
        let source: ChunkSource
        private let server: ChunkServer

        init(
            _ name: String,
            isNeighbour: Bool = true,
            _ answer: @escaping @Sendable (_ chunk: Int, _ request: Int) -> ChunkAnswer.Content?
        ) throws {
            let served = Served()
            self.served = served
            server = try ChunkServer { _, chunk in answer(chunk, served.next(chunk)) }
            source = ChunkSource(
                name,
                isNeighbour: isNeighbour,
                try FetchConnection(server.endpoint, .open)
            )
        }

        /// Chunks requested so far.
        var asked: [Int] { served.all }
        private let served: Served

        final class Served: Sendable {
            private let chunks = Mutex<[Int]>([])
            var all: [Int] { chunks.withLock { $0 } }
            func next(_ chunk: Int) -> Int {
                chunks.withLock { chunks in
                    chunks.append(chunk)
                    return chunks.count
                }
            }
        }

        func end() { server.end() }
    }

    /// Fetches the file; its bytes must be right in any case.
    ///
    /// - Returns: the log, and the chunks requested from the coordinator and from the neighbour
    private func fetch(
        patience: Duration = .milliseconds(700),
        measured: Duration = .seconds(60),
        _ neighbour:
            @escaping @Sendable (_ chunk: Int, _ right: [UInt8], _ request: Int) ->
            ChunkAnswer.Content?
    ) throws -> (log: String, coordinator: [Int], neighbour: [Int]) {
        let content = Content()
        let chunks = content.chunks
        let coordinator = try Server("the coordinator", isNeighbour: false) { chunk, _ in
            .bytes(chunks[chunk])
        }
        let other = try Server("the neighbour") { neighbour($0, chunks[$0], $1) }
        defer {
            coordinator.end()
            other.end()
        }
        let log = HeardLines()
        try inTemporaryFolder { folder in
            let cache = ModelCache(path: folder)
            try cache.make()
            var fetch = FileFetch(
                file: content.file,
                cache: cache,
                sources: ChunkSources(
                    coordinator: coordinator.source,
                    neighbours: [other.source],
                    log.logger(.info)
                ),
                cancellation: Cancellation()
            )
            (fetch.patience, fetch.measured) = (patience, measured)
            var progress = FetchProgress(total: content.file.size, log.logger(.info))
            let isDone = try fetch.run(&progress)
            #expect(isDone)
            let path = cache.file(content.file.digest)
            let kept = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(kept.elementsEqual(chunks.flatMap(\.self)))
        }
        return (log.text, coordinator.asked, other.asked)
    }

    @Test func anHonestNeighbourSparesTheCoordinator() throws {
        let (log, coordinator, _) = try fetch { _, right, _ in .bytes(right) }
        #expect(coordinator.isEmpty && log.contains("fetching the model from the neighbour"))
    }

    @Test func aNeighbourThatLiesIsLeft() throws {
        let (log, coordinator, neighbour) = try fetch { chunk, right, _ in
            .bytes(chunk == 1 ? right.reversed() : right)
        }
        #expect(log.contains("sent wrong bytes (chunk 1 of model/f): it is left out"), "\(log)")
        // What it sent before was checked, and is not fetched again.
        #expect(coordinator == [1, 2] && Set(neighbour) == [0, 1, 2])
    }

    @Test func aNeighbourThatStallsIsLeft() throws {
        let (log, coordinator, _) = try fetch { chunk, right, _ in
            chunk == 0 ? .bytes(right) : nil
        }
        #expect(log.contains("does not answer: it is left out"), "\(log)")
        #expect(coordinator == [1, 2])
    }

    /// Each answer comes in time, but a whole model would take days.
    @Test func aNeighbourThatCrawlsIsLeft() throws {
        let (log, coordinator, _) = try fetch(patience: .seconds(5), measured: .milliseconds(300)) {
            _,
            right,
            _ in
            Thread.sleep(forTimeInterval: 1.5)
            return .bytes(right)
        }
        #expect(log.contains("is too slow: it is left out"), "\(log)")
        #expect(coordinator == [0, 1, 2])
    }

    @Test func aNeighbourThatRefusesOrPreparesIsNotWaitedFor() throws {
        let (refused, all, _) = try fetch { _, _, _ in .refused("no\u{1b} thanks") }
        #expect(refused.contains("refuses: no") && !refused.contains("\u{1b}"))
        #expect(all == [0, 1, 2])
        let (prepared, rest, _) = try fetch { _, _, _ in .later }
        #expect(rest == [0, 1, 2] && !prepared.contains("left out"), "\(prepared)")
    }

    /// Only workers that the coordinator named, only while it names them, and only files of the model.
    @Test func onlyGuestsGetOnlyTheModel() throws {
        let path = Fixtures.networks.first?.checkpoint ?? ""
        let model = try Model(path: path)
        let server = try NeighbourServer(port: 0, logger: quiet)
        defer { server.stop() }
        server.offer(
            LoadedNetworks(
                model,
                identity: try ModelIdentity(of: model),
                options: EngineOptions()
            )
        )
        let (guest, stranger) = (try KeyPair.new(), try KeyPair.new())
        let endpoint = try Endpoint("tcp://127.0.0.1:\(server.share.port)")
        func digest(_ name: String) throws -> ModelCatalogue.Digest {
            try #require(ModelCatalogue.Digest(hex: FileDigest.of("\(path)/\(name)", cache: nil)))
        }
        let (config, text) = (
            try digest("unet/config.json"), try digest("text_encoder/model.safetensors")
        )
        func ask(_ pair: KeyPair, _ file: ModelCatalogue.Digest, seconds: Double) throws
            -> ChunkAnswer.Content?
        {
            let security = Security.worker(pair, coordinator: server.share.key)
            let connection = try FetchConnection(endpoint, security)
            let end = Date(timeIntervalSinceNow: seconds)
            try connection.ask(ChunkRequest(file, [0]))
            while Date() < end {
                let arrival = try connection.next(within: .milliseconds(200), Cancellation())
                guard case .answer(let answer) = arrival else { continue }
                if answer.content != .later { return answer.content }
                try connection.ask(ChunkRequest(file, [0]))
            }
            return nil
        }
        #expect(try ask(guest, config, seconds: 0.5) == nil)
        server.admit([guest.publicKey])
        let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(path)/unet/config.json"))
        #expect(try ask(guest, config, seconds: 20) == .bytes(Array(bytes)))
        #expect(try ask(stranger, config, seconds: 0.5) == nil)
        guard case .refused(let reason)? = try ask(guest, text, seconds: 20) else {
            Issue.record("a text encoder was sent")
            return
        }
        #expect(reason.contains("not a part of the model"))
        server.admit([])
        #expect(try ask(guest, config, seconds: 0.5) == nil)
    }
}

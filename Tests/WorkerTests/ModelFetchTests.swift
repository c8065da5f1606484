import Coordinator
import Engine
import Foundation
import Logging
import Protocol
import Synchronization
import TestSupport
import Testing
import Worker

/// Workers that lack the model fetch it from a real coordinator, and from one that lies.
@Suite struct ModelFetchTests {
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let path = Fixtures.networks.first?.checkpoint ?? ""

    /// A coordinator with a model, and a worker's keys for it.
    private func withCoordinator(
        _ options: ModelOptions = ModelOptions(),
        _ body: (Cluster, Security, WorkerRequirements) throws -> Void
    ) throws {
        let model = try Model(path: path, options: options)
        let (coordinator, worker) = (try KeyPair.new(), try KeyPair.new())
        var configuration = Cluster.Configuration(
            endpoint: try Endpoint("tcp://127.0.0.1:0"),
            model: try ModelIdentity(of: model)
        )
        configuration.required.loras = options.loras.map(\.argument)
        configuration.required.parts.vae = options.vae
        configuration.security = .coordinator(
            coordinator,
            allowed: try AllowedKeys(file: nil, own: [worker.publicKey])
        )
        let cluster = try Cluster(configuration, logger: quiet)
        defer { cluster.stop() }
        let keys = Security.worker(worker, coordinator: coordinator.publicKey)
        try body(cluster, keys, configuration.required)
    }

    private func files(_ folder: String) -> [String] {
        (FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [])
            .filter {
                !((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\($0)")) != nil)
            }
            .sorted()
    }

    @Test func theModelArrivesWithoutItsTextEncoder() throws {
        var options = ModelOptions()
        options.loras = [
            LoRASource(path: "\(Fixtures.folder)/lora/sd15-kohya.safetensors", weight: 0.5)
        ]
        for options in [ModelOptions(), options] {
            try withCoordinator(options) { cluster, keys, required in
                try inTemporaryFolder { folder in
                    let cache = ModelCache(path: "\(folder)/cache")
                    let fetcher = ModelFetcher(cluster.endpoint, keys, cache, quiet)
                    let digest = required.model.digest
                    let model = try #require(try fetcher.model(digest, Cancellation()))
                    #expect(try model.digest() == digest && model.path.hasPrefix(folder))
                    #expect(model.options.loras.map(\.weight) == options.loras.map(\.weight))
                    try model.check(ModelNeeds(encoder: nil, texts: false))
                    let names = files("\(folder)/cache/models/\(digest)")
                    #expect(names.contains("model/unet/diffusion_pytorch_model.safetensors"))
                    #expect(!names.contains { $0.contains("text_encoder/model") }, "\(names)")
                    #expect(files("\(folder)/cache/partial").isEmpty)
                    // The next worker finds it there, without a coordinator.
                    let nowhere = try Endpoint("tcp://127.0.0.1:1")
                    let again = ModelFetcher(nowhere, keys, cache, quiet)
                    #expect(try again.model(digest, Cancellation())?.path == model.path)
                }
            }
        }
    }

    @Test func onlyTheModelCanBeAskedFor() throws {
        try withCoordinator { cluster, keys, required in
            let text = try ModelCatalogue.Digest(
                hex: FileDigest.of("\(path)/text_encoder/model.safetensors", cache: nil)
            )
            let connection = try FetchConnection(cluster.endpoint, keys)
            let unet = try ModelCatalogue.Digest(
                hex: FileDigest.of("\(path)/unet/config.json", cache: nil)
            )
            for (digest, chunk, isListed) in [(text, 0, false), (unet, 0, true), (unet, 9, false)] {
                try connection.ask(ChunkRequest(try #require(digest), [chunk]))
                let arrival = try connection.next(within: .seconds(20), Cancellation())
                guard case .answer(let answer) = arrival else {
                    Issue.record("\(arrival)")
                    continue
                }
                switch answer.content {
                case .bytes(let bytes):
                    #expect(isListed)
                    let config = try Data(
                        contentsOf: URL(fileURLWithPath: "\(path)/unet/config.json")
                    )
                    #expect(Data(bytes) == config)
                case .refused(let reason): #expect(!isListed && reason.contains("not a part"))
                case .later: Issue.record("\(answer)")
                }
            }
        }
    }

    /// The worker's side of changing to a model that its host lacks.
    @Test func aRefusedWorkerFetchesWhatItNeeds() throws {
        try withCoordinator { cluster, keys, required in
            try inTemporaryFolder { folder in
                let cache = ModelCache(path: folder)
                let other = try Model(path: Fixtures.networks.last?.checkpoint ?? "")
                let changes = ModelFileChanges(
                    path: other.path,
                    options: ModelOptions(),
                    isAuthenticated: true,
                    fetcher: ModelFetcher(cluster.endpoint, keys, cache, quiet)
                ) { _, _ in EngineOptions() }
                let present = LoadedNetworks(
                    other,
                    identity: try ModelIdentity(of: other),
                    options: EngineOptions()
                )
                var elsewhere = WorkerRequirements(
                    model: ModelIdentity(digest: required.model.digest, path: "/not/here")
                )
                elsewhere.backend = nil
                let changed = try changes.networks(present, for: elsewhere)
                #expect(changed.identity.digest == required.model.digest)
                #expect(changed.identity.path.hasPrefix(folder))
            }
        }
    }

    @Test func aCacheThatIsTooSmallSaysSo() throws {
        try withCoordinator { cluster, keys, required in
            try inTemporaryFolder { folder in
                let cache = ModelCache(path: folder, limit: 1000)
                let fetcher = ModelFetcher(cluster.endpoint, keys, cache, quiet)
                let error = #expect(throws: InputError.self) {
                    try fetcher.model(required.model.digest, Cancellation())
                }
                #expect(error?.place == "--model-cache-size")
            }
        }
    }

    /// A coordinator that announces three chunks of random bytes as a model, and answers as a test specifies.
    private func withServer(
        _ answer: @escaping @Sendable (_ chunk: Int, [UInt8]) -> ChunkAnswer.Content?,
        announced: ((inout ModelCatalogue) -> Void)? = nil,
        body: (Endpoint, ModelCatalogue, _ asked: () -> [Int]) throws -> Void
    ) throws {
        var random = SplitMix(3)
        let content = (0..<(2 * ModelCatalogue.chunkBytes + 100)).map { _ in
            UInt8(truncatingIfNeeded: random.next())
        }
        let chunks = stride(from: 0, to: content.count, by: ModelCatalogue.chunkBytes).map {
            start in
            Array(content[start..<min(content.count, start + ModelCatalogue.chunkBytes)])
        }
        func digest(_ bytes: [UInt8]) -> ModelCatalogue.Digest {
            bytes.withUnsafeBytes { ModelCatalogue.Digest(of: $0) }
        }
        var parts = ModelContent.Parts()
        parts.model = "model/f"
        var catalogue = ModelCatalogue(
            files: [
                .init(
                    name: "model/f",
                    digest: digest(content),
                    size: content.count,
                    chunks: chunks.map(digest)
                )
            ],
            parts: parts
        )
        announced?(&catalogue)
        let (sent, file) = (catalogue.bytes, catalogue.files[0].digest)
        let asked = Asked()
        let server = try ChunkServer { digest, chunk in
            guard digest == file else { return .bytes(sent) }
            asked.add(chunk)
            return answer(chunk, chunks[chunk])
        }
        defer { server.end() }
        try body(server.endpoint, catalogue) { asked.take() }
    }

    private final class Asked: Sendable {
        private let chunks = Mutex<[Int]>([])
        func add(_ chunk: Int) { chunks.withLock { $0.append(chunk) } }
        func take() -> [Int] {
            chunks.withLock { chunks in
                defer { chunks = [] }
                return chunks
            }
        }
    }

    private let model = String(repeating: "ab", count: 32)

    @Test func aLieIsFound() throws {
        try withServer(
            { chunk, bytes in .bytes(chunk == 1 ? bytes.reversed() : bytes) },
            body: {
                endpoint,
                _,
                _ in
                try inTemporaryFolder { folder in
                    let fetcher = ModelFetcher(endpoint, .open, ModelCache(path: folder), quiet)
                    #expect(throws: FetchFailure.otherContent(file: "model/f", chunk: 1)) {
                        try fetcher.model(model, Cancellation())
                    }
                }
            }
        )
        // The chunks are right, but not the file that they make.
        try withServer(
            { .bytes($1) },
            announced: { catalogue in
                let file = catalogue.files[0]
                catalogue.files[0] = .init(
                    name: file.name,
                    digest: file.chunks[0],
                    size: file.size,
                    chunks: file.chunks
                )
            },
            body: { endpoint, _, _ in
                try inTemporaryFolder { folder in
                    let fetcher = ModelFetcher(endpoint, .open, ModelCache(path: folder), quiet)
                    #expect(throws: FetchFailure.otherFile(file: "model/f")) {
                        try fetcher.model(model, Cancellation())
                    }
                    #expect(files("\(folder)/files").isEmpty && files("\(folder)/partial").isEmpty)
                }
            }
        )
        // The files are as announced, but are not the model.
        try withServer(
            { .bytes($1) },
            body: { endpoint, _, _ in
                try inTemporaryFolder { folder in
                    let fetcher = ModelFetcher(endpoint, .open, ModelCache(path: folder), quiet)
                    #expect(throws: FetchFailure.otherModel) {
                        try fetcher.model(model, Cancellation())
                    }
                    #expect(files(folder).filter { $0 != "lock" }.isEmpty)
                }
            }
        )
    }

    @Test func whatWasFetchedBeforeIsNotFetchedAgain() throws {
        try inTemporaryFolder { folder in
            let cache = ModelCache(path: folder)
            // The first attempt ends at the third chunk.
            try withServer(
                { chunk, bytes in chunk == 2 ? .refused("busy") : .bytes(bytes) },
                body: {
                    endpoint,
                    _,
                    asked in
                    let fetcher = ModelFetcher(endpoint, .open, cache, quiet)
                    #expect(throws: FetchFailure.refused(file: "model/f", reason: "busy")) {
                        try fetcher.model(model, Cancellation())
                    }
                    #expect(asked() == [0, 1, 2])
                }
            )
            let partial = try #require(files("\(folder)/partial").first)
            try withServer(
                { .bytes($1) },
                body: { endpoint, catalogue, asked in
                    let fetcher = ModelFetcher(endpoint, .open, cache, quiet)
                    #expect(partial == catalogue.files[0].digest.description)
                    #expect(throws: (any Error).self) { try fetcher.model(model, Cancellation()) }
                    #expect(asked() == [2])
                    // A damaged partial file is noticed, too.
                    try Data(repeating: 7, count: 3 << 20).write(
                        to: URL(fileURLWithPath: "\(folder)/partial/\(partial)")
                    )
                    #expect(throws: (any Error).self) { try fetcher.model(model, Cancellation()) }
                    #expect(asked() == [0, 1, 2])
                }
            )
        }
    }

    /// Requests that were not answered, because the coordinator was restarted or the network failed, are retried as
    /// often as necessary.
    @Test(arguments: 1...3) func whatIsNotAnsweredIsAskedAgain(lost: Int) throws {
        let unanswered = Mutex(lost)
        try withServer(
            { chunk, bytes in
                let isLost =
                    chunk == 1
                    && unanswered.withLock { left in
                        left -= 1
                        return left >= 0
                    }
                return isLost ? nil : .bytes(bytes)
            },
            body: { endpoint, catalogue, asked in
                try inTemporaryFolder { folder in
                    let cache = ModelCache(path: folder)
                    try cache.make()
                    let log = HeardLines()
                    let source = ChunkSource(
                        "the coordinator",
                        isNeighbour: false,
                        try FetchConnection(endpoint, .open)
                    )
                    var fetch = FileFetch(
                        file: catalogue.files[0],
                        cache: cache,
                        sources: ChunkSources(
                            coordinator: source,
                            neighbours: [],
                            log.logger(.info)
                        ),
                        cancellation: Cancellation()
                    )
                    fetch.silence = .milliseconds(300)
                    var progress = FetchProgress(total: catalogue.size, quiet)
                    let isDone = try fetch.run(&progress)
                    #expect(isDone && asked().count { $0 == 1 } == lost + 1)
                    #expect(log.count("is not sending the model") == 1, "\(log.text)")
                    #expect(log.count("the coordinator answers") == 1, "\(log.text)")
                }
            }
        )
    }
}

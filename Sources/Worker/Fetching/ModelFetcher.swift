import Engine
import Foundation
import Logging
import Protocol

/// Fetches models from a coordinator into this host's cache. Blocks; everything is checked on arrival, and what was
/// fetched before a process was killed is not fetched again.
package struct ModelFetcher: Sendable {
    private let endpoint: Endpoint
    private let security: Security
    package let cache: ModelCache
    private let logger: Logger

    /// - Parameters:
    ///   - endpoint: the coordinator's
    ///   - security: this worker's keys
    ///   - cache: where models are kept
    ///   - logger: is told of the progress
    package init(_ endpoint: Endpoint, _ security: Security, _ cache: ModelCache, _ logger: Logger)
    {
        (self.endpoint, self.security) = (endpoint, security)
        (self.cache, self.logger) = (cache, logger)
    }

    /// A model that is in the cache, fetched if it was not.
    ///
    /// - Parameters:
    ///   - digest: of the model
    ///   - cancellation: ends the call
    /// - Returns: the model; nil if it was cancelled
    /// - Throws: `FetchFailure`, `InputError` where there is no room, `OutputError` for a full disk
    package func model(_ digest: String, _ cancellation: Cancellation) throws -> Model? {
        if let model = opened(digest) { return model }
        guard let name = ModelCatalogue.Digest(hex: digest) else {
            throw FetchFailure.refused(file: "the model", reason: "its digest is of another kind")
        }
        guard let lock = try cache.take(cancellation) else { return nil }
        return try withExtendedLifetime(lock) {
            // Another worker of this host may have fetched it meanwhile.
            if let model = opened(digest) { return model }
            let connection = try FetchConnection(endpoint, security)
            guard let catalogue = try self.catalogue(name, connection, cancellation) else {
                return nil
            }
            try cache.makeRoom(for: catalogue)
            var progress = FetchProgress(total: catalogue.size, logger)
            for file in catalogue.files where ModelCache.size(cache.file(file.digest)) != file.size
            {
                guard try fetch(file, connection, &progress, cancellation) else { return nil }
            }
            try cache.assemble(digest, catalogue)
            logger.notice(
                "model fetched: \(ModelCache.text(catalogue.size)), kept in \(cache.path)"
            )
            guard let model = opened(digest) else { throw FetchFailure.otherModel }
            return model
        }
    }

    /// The model that a coordinator needs, for a worker that has none. Waits until there is a coordinator.
    ///
    /// - Parameters:
    ///   - options: of the worker that will join
    ///   - cancellation: ends the call
    ///   - logger: is told what hinders it
    /// - Returns: the model; nil if it was cancelled
    /// - Throws: `InputError` if the coordinator has another version of Tessera, `SocketError`
    package func modelOfCoordinator(
        _ options: WorkerProcess.Options,
        _ cancellation: Cancellation,
        _ logger: Logger
    ) throws -> Model? {
        let inquiry = ModelInquiry(options, logger)
        var obstacle: WorkerMessage.Obstacle?
        while let required = try inquiry.requirements(obstacle, cancellation) {
            do {
                return try model(required.model.digest, cancellation)
            } catch {
                if obstacle?.reason != "\(error)" { logger.warning("\(error)") }
                obstacle = .init(requirements: required.summary, reason: "\(error)")
            }
            let end = ContinuousClock.now + Self.pause
            while ContinuousClock.now < end, !cancellation.isCancelled {
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
        return nil
    }

    /// Time between two attempts, where a full disk may be cleared meanwhile.
    private static let pause: Duration = .seconds(5)

    /// A model in the cache; one that is not what its name says is removed.
    private func opened(_ digest: String) -> Model? {
        guard let (path, options) = cache.model(digest) else { return nil }
        if let model = try? Model(path: path, options: options), (try? model.digest()) == digest {
            return model
        }
        cache.discard(digest)
        return nil
    }

    /// Asks for the catalogue until it is there.
    ///
    /// - Returns: nil if it was cancelled
    private func catalogue(
        _ model: ModelCatalogue.Digest,
        _ connection: FetchConnection,
        _ cancellation: Cancellation
    ) throws -> ModelCatalogue? {
        logger.notice("this host lacks the coordinator's model: fetching it")
        while !cancellation.isCancelled {
            try connection.ask(ChunkRequest(model, [0]))
            // The coordinator may first have to read all of the model.
            guard let answer = try connection.next(within: .seconds(60), cancellation),
                answer.digest == model
            else {
                try connection.renew()
                continue
            }
            switch answer.content {
            case .bytes(let bytes): return try ModelCatalogue(bytes: bytes)
            case .later: Thread.sleep(forTimeInterval: 0.5)
            case .refused(let reason): throw FetchFailure.refused(file: "the model", reason: reason)
            }
        }
        return nil
    }

    /// Fetches one file.
    ///
    /// - Returns: false if it was cancelled
    private func fetch(
        _ file: ModelCatalogue.File,
        _ connection: FetchConnection,
        _ progress: inout FetchProgress,
        _ cancellation: Cancellation
    ) throws -> Bool {
        let target = try PartialFile(cache.partial(file.digest), file)
        var state = FetchState(file, present: target.present)
        progress.add(target.present, of: file)
        let start = ContinuousClock.now
        var events: [(FetchState.Event, [UInt8])] = [(.connected, [])]
        while !cancellation.isCancelled {
            for (event, bytes) in events {
                for action in state.handle(event, at: start.duration(to: .now)) {
                    switch action {
                    case .ask(let chunks): try connection.ask(ChunkRequest(file.digest, chunks))
                    case .keep:
                        try target.append(bytes)
                        progress.add(bytes.count)
                    case .reconnect:
                        try connection.renew()
                        _ = state.handle(.connected, at: start.duration(to: .now))
                    case .finish:
                        try target.finish(as: cache.file(file.digest))
                        return true
                    case .fail(let failure): throw failure
                    }
                }
            }
            events = [(.tick, [])]
            if let answer = try connection.next(within: .milliseconds(200), cancellation),
                answer.digest == file.digest
            {
                events.append((Self.event(answer), answer.bytes))
            }
        }
        return false
    }

    private static func event(_ answer: ChunkAnswer) -> FetchState.Event {
        switch answer.content {
        case .bytes(let bytes):
            .arrived(
                chunk: answer.chunk,
                digest: bytes.withUnsafeBytes { ModelCatalogue.Digest(of: $0) }
            )
        case .later: .later
        case .refused(let reason): .refused(reason)
        }
    }
}

extension ChunkAnswer {
    fileprivate var bytes: [UInt8] {
        if case .bytes(let bytes) = content { bytes } else { [] }
    }
}

/// Says how far it is, every ten percent.
private struct FetchProgress {
    private let total: Int
    private let logger: Logger
    private var done = 0
    private var told = 0

    init(total: Int, _ logger: Logger) { (self.total, self.logger) = (max(1, total), logger) }

    mutating func add(_ chunks: Int, of file: ModelCatalogue.File) {
        add(min(file.size, chunks * ModelCatalogue.chunkBytes))
    }

    mutating func add(_ bytes: Int) {
        done += bytes
        let share = done * 10 / total
        guard share > told else { return }
        told = share
        logger.notice("model: \(share * 10) % of \(ModelCache.text(total))")
    }
}

import Engine
import Foundation
import Logging
import Protocol

/// Fetches models from a coordinator into this host's cache. Blocks. Everything is verified on arrival, and what was
/// fetched before a process was killed is not fetched again.
package struct ModelFetcher: Sendable {
    private let endpoint: Endpoint
    private let security: Security
    package let cache: ModelCache
    private let logger: Logger

    /// - Parameters:
    ///   - endpoint: the coordinator's endpoint
    ///   - security: this worker's keys
    ///   - cache: where models are stored
    ///   - logger: logs the progress
    package init(_ endpoint: Endpoint, _ security: Security, _ cache: ModelCache, _ logger: Logger)
    {
        (self.endpoint, self.security) = (endpoint, security)
        (self.cache, self.logger) = (cache, logger)
    }

    /// A model from the cache; it is fetched first if necessary.
    ///
    /// - Parameters:
    ///   - digest: digest of the model
    ///   - cancellation: ends the call
    ///   - isAgain: whether it was already logged that the model is missing
    /// - Returns: the model; nil if it was cancelled
    /// - Throws: `FetchFailure`, `InputError` if there is no space, `OutputError` if the disk is full
    package func model(
        _ digest: String,
        _ cancellation: Cancellation,
        isAgain: Bool = false
    ) throws -> Model? {
        if let model = opened(digest) { return model }
        guard let name = ModelCatalogue.Digest(hex: digest) else {
            throw FetchFailure.refused(file: "the model", reason: "its digest is of another kind")
        }
        guard let lock = try cache.take(cancellation) else { return nil }
        return try withExtendedLifetime(lock) { () -> Model? in
            // Another worker on this host may have fetched it meanwhile.
            if let model = opened(digest) { return model }
            let connection = try FetchConnection(endpoint, security)
            if !isAgain {
                logger.notice("this host lacks the coordinator's model: fetching it")
            }
            guard let (catalogue, neighbours) = try catalogue(name, connection, cancellation) else {
                return nil
            }
            try cache.makeRoom(for: catalogue)
            let sources = try ChunkSources(
                coordinator: connection,
                neighbours,
                security,
                logger
            )
            var progress = FetchProgress(total: catalogue.size, logger)
            for file in catalogue.files where ModelCache.size(cache.file(file.digest)) != file.size
            {
                let fetch = FileFetch(
                    file: file,
                    cache: cache,
                    sources: sources,
                    cancellation: cancellation
                )
                guard try fetch.run(&progress) else { return nil }
            }
            try cache.assemble(digest, catalogue)
            let near = progress.fromNeighbours
            let origin = near > 0 ? " (\(ModelCache.text(near)) from neighbours)" : ""
            logger.notice(
                "model fetched: \(ModelCache.text(catalogue.size))\(origin), kept in \(cache.path)"
            )
            guard let model = opened(digest) else { throw FetchFailure.otherModel }
            return model
        }
    }

    /// The model that the coordinator needs, for a worker that has none. Waits until there is a coordinator.
    ///
    /// - Parameters:
    ///   - options: options of the worker that will join
    ///   - cancellation: ends the call
    ///   - logger: logs what is in the way
    /// - Returns: the model; nil if it was cancelled
    /// - Throws: `InputError` if the coordinator has a different version of Tessera, `SocketError`
    package func modelOfCoordinator(
        _ options: WorkerProcess.Options,
        _ cancellation: Cancellation,
        _ logger: Logger
    ) throws -> Model? {
        let inquiry = ModelInquiry(options, logger)
        var obstacle: WorkerMessage.Obstacle?
        while let required = try inquiry.requirements(obstacle, cancellation) {
            do {
                return try model(
                    required.model.digest,
                    cancellation,
                    isAgain: obstacle != nil
                )
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

    /// Pause between two attempts, during which a full disk may be cleared, for example.
    private static let pause: Duration = .seconds(5)

    /// Opens a model from the cache; removes it if its content does not match its digest.
    private func opened(_ digest: String) -> Model? {
        guard let (path, options) = cache.model(digest) else { return nil }
        if let model = try? Model(path: path, options: options), (try? model.digest()) == digest {
            return model
        }
        cache.discard(digest)
        return nil
    }

    /// Asks for the catalogue until it arrives.
    ///
    /// - Returns: the catalogue, and neighbours that have its files; nil if cancelled
    private func catalogue(
        _ model: ModelCatalogue.Digest,
        _ connection: FetchConnection,
        _ cancellation: Cancellation
    ) throws -> (ModelCatalogue, [Neighbour])? {
        var isTold = false
        while !cancellation.isCancelled {
            try connection.ask(ChunkRequest(model, [0], addresses: LANAddress.own))
            // A coordinator that has to read the whole model first carries on with that, and answers the latest
            // request.
            let arrival = try connection.next(within: FetchConnection.silence, cancellation)
            if case .reconnected = arrival { continue }
            guard case .answer(let answer) = arrival, answer.digest == model else {
                if !isTold, !cancellation.isCancelled {
                    logger.notice(
                        "the coordinator has not sent the model's list of files yet; retrying"
                    )
                    isTold = true
                }
                try connection.renew()
                continue
            }
            switch answer.content {
            case .bytes(let bytes): return (try ModelCatalogue(bytes: bytes), answer.neighbours)
            case .later: Thread.sleep(forTimeInterval: 0.5)
            case .refused(let reason): throw FetchFailure.refused(file: "the model", reason: reason)
            }
        }
        return nil
    }
}

import Engine
import Protocol

/// Fetches one file, from one source after another.
package struct FileFetch {
    private let file: ModelCatalogue.File
    private let cache: ModelCache
    private let sources: ChunkSources
    private let cancellation: Cancellation

    /// How long a neighbour may take to answer, and the time after which it must have sent at least one chunk per
    /// second.
    package var patience: Duration = .seconds(5)
    package var measured: Duration = .seconds(8)
    /// How long the coordinator may take to answer before it is asked again on a new connection.
    package var silence = FetchConnection.silence

    package init(
        file: ModelCatalogue.File,
        cache: ModelCache,
        sources: ChunkSources,
        cancellation: Cancellation
    ) {
        (self.file, self.cache) = (file, cache)
        (self.sources, self.cancellation) = (sources, cancellation)
    }

    private enum Turn {
        case done
        case cancelled
        /// The source is still preparing.
        case later
        /// A neighbour is unusable, with the reason.
        case useless(String)
    }

    /// - Parameter progress: updated as chunks arrive
    /// - Returns: false if it was cancelled
    /// - Throws: `FetchFailure` if the coordinator is at fault, `OutputError` if the disk is full, `SocketError`
    package func run(_ progress: inout FetchProgress) throws -> Bool {
        let target = try PartialFile(cache.partial(file.digest), file)
        progress.add(target.present, of: file)
        while target.present < file.chunks.count {
            let (source, end) = sources.next(after: target.present)
            switch try turn(of: source, until: end, target, &progress) {
            case .done: break
            case .cancelled: return false
            case .later: sources.pause(source)
            case .useless(let reason): sources.leave(source, because: reason)
            }
        }
        guard !cancellation.isCancelled else { return false }
        try target.finish(as: cache.file(file.digest))
        return true
    }

    private func turn(
        of source: ChunkSource,
        until end: Int?,
        _ target: PartialFile,
        _ progress: inout FetchProgress
    ) throws -> Turn {
        var state =
            source.isNeighbour
            ? FetchState(
                file,
                present: target.present,
                end: end,
                patience: patience,
                pause: .milliseconds(100)
            )
            : FetchState(file, present: target.present, end: end, patience: silence)
        let (start, first) = (ContinuousClock.now, target.present)
        var events: [(FetchState.Event, [UInt8])] = [(.connected, [])]
        while !cancellation.isCancelled {
            var isRenewed = false
            for (event, bytes) in events {
                // A small model's digests are ready in a moment.
                if source.isNeighbour, case .later = event,
                    start.duration(to: .now) > patience / 5
                {
                    return .later
                }
                for action in state.handle(event, at: start.duration(to: .now)) {
                    switch action {
                    case .ask(let chunks):
                        try source.connection.ask(ChunkRequest(file.digest, chunks))
                    case .keep:
                        if !source.isNeighbour { sources.noteAnswer() }
                        try target.append(bytes)
                        progress.add(bytes.count, from: source)
                    case .reconnect:
                        if source.isNeighbour { return .useless("does not answer") }
                        sources.noteSilence()
                        try source.connection.renew()
                        isRenewed = true
                    case .finish: return .done
                    case .fail(let failure):
                        guard source.isNeighbour else { throw failure }
                        return .useless(Self.words(failure))
                    }
                }
            }
            let time = start.duration(to: .now)
            if source.isNeighbour, time > measured,
                Double(target.present - first) < time / .seconds(1)
            {
                return .useless("is too slow")
            }
            events = [(isRenewed ? .connected : .tick, [])]
            switch try source.connection.next(within: .milliseconds(200), cancellation) {
            case .answer(let answer) where answer.digest == file.digest:
                events.append((Self.event(answer), answer.bytes))
            case .reconnected: events.append((.connected, []))
            case .answer, .nothing: break
            }
        }
        return .cancelled
    }

    private static func words(_ failure: FetchFailure) -> String {
        switch failure {
        case .otherContent(let file, let chunk): "sent wrong bytes (chunk \(chunk) of \(file))"
        case .refused(_, let reason): "refuses: \(reason.withoutFullStop)"
        case .otherFile, .otherModel: "sent another file"
        }
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

import Protocol

/// Decides what a worker that fetches a file requests next. Answers and a clock in, actions out; no socket and no file.
///
/// Chunks are requested in order, a few at a time, and accepted in order: what is present of a file is always a prefix,
/// so a later process can resume from there.
package struct FetchState: Sendable {
    package enum Event: Sendable {
        /// A new connection was opened.
        case connected
        /// A chunk arrived, with the digest of its content.
        case arrived(chunk: Int, digest: ModelCatalogue.Digest)
        case later
        case refused(String)
        case tick
    }

    package enum Action: Equatable, Sendable {
        case ask([Int])
        /// Append the content of this chunk to the file.
        case keep(Int)
        /// Open a new connection: this one does not answer.
        case reconnect
        /// All chunks are present.
        case finish
        case fail(FetchFailure)
    }

    /// Maximum number of outstanding chunk requests.
    private let window: Int
    /// How long an answer may take.
    private let patience: Duration
    /// Pause before asking again for something that is still being prepared.
    private let pause: Duration
    private let file: ModelCatalogue.File
    /// The fetch is done when this many chunks are present.
    private let end: Int

    /// Number of chunks present.
    package private(set) var present: Int
    /// Requested chunks, in order; they follow the present ones.
    private var asked: [Int] = []
    private var lastAnswer = Duration.zero
    private var waitsUntil: Duration?
    private var isOver = false

    /// - Parameters:
    ///   - file: the file to fetch
    ///   - present: number of verified chunks at the beginning of the file
    ///   - end: number of chunks after which the fetch is done; nil for all
    ///   - window: maximum number of outstanding chunk requests
    ///   - patience: how long an answer may take
    ///   - pause: pause before asking again for something that is still being prepared
    package init(
        _ file: ModelCatalogue.File,
        present: Int = 0,
        end: Int? = nil,
        window: Int = 4,
        patience: Duration = .seconds(20),
        pause: Duration = .seconds(1)
    ) {
        (self.file, self.present) = (file, present)
        self.end = min(file.chunks.count, end ?? file.chunks.count)
        (self.window, self.patience, self.pause) = (window, patience, pause)
    }

    /// Handles one event.
    ///
    /// - Returns: what to do, in this order
    package mutating func handle(_ event: Event, at now: Duration) -> [Action] {
        var actions: [Action] = []
        guard !isOver else { return actions }
        switch event {
        case .connected:
            asked = []
            waitsUntil = nil
            lastAnswer = now
        case .arrived(let chunk, let digest):
            // The chunk may have been requested on an earlier connection.
            guard chunk == asked.first else { break }
            lastAnswer = now
            guard digest == file.chunks[chunk] else {
                isOver = true
                actions.append(.fail(.otherContent(file: file.name, chunk: chunk)))
                break
            }
            asked.removeFirst()
            present += 1
            actions.append(.keep(chunk))
        case .later:
            lastAnswer = now
            asked = []
            waitsUntil = now + pause
        case .refused(let reason):
            isOver = true
            actions.append(.fail(.refused(file: file.name, reason: reason)))
        case .tick:
            if !asked.isEmpty, now - lastAnswer >= patience {
                asked = []
                lastAnswer = now
                actions.append(.reconnect)
                return actions
            }
        }
        askForMore(now, &actions)
        return actions
    }

    private mutating func askForMore(_ now: Duration, _ actions: inout [Action]) {
        guard !isOver else { return }
        if present >= end {
            isOver = true
            actions.append(.finish)
            return
        }
        if let until = waitsUntil {
            guard now >= until else { return }
            waitsUntil = nil
        }
        let next = present + asked.count
        let more = Array(next..<min(end, present + window))
        // Requests go out when half of the window is free, not after every chunk.
        guard !more.isEmpty, asked.isEmpty || more.count * 2 >= window else { return }
        if asked.isEmpty { lastAnswer = now }
        asked += more
        actions.append(.ask(more))
    }
}

/// Why a file could not be fetched.
package enum FetchFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case refused(file: String, reason: String)
    /// The content of a chunk does not match the catalogue.
    case otherContent(file: String, chunk: Int)
    /// The content of the file does not match the catalogue.
    case otherFile(file: String)
    /// The files together are not the announced model.
    case otherModel

    package var description: String {
        switch self {
        case .refused(let file, let reason): "the coordinator does not send \(file): \(reason)"
        case .otherContent(let file, let chunk):
            "chunk \(chunk) of \(file) from the coordinator is not what it announced; nothing of it is kept"
        case .otherFile(let file):
            "\(file) from the coordinator is not what it announced; it is removed"
        case .otherModel: "the coordinator's files are not the model that it announced"
        }
    }
}

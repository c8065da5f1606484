import Protocol

/// Decides what a worker that fetches a file asks for next. Answers and a clock in, actions out: no socket, no file.
///
/// Chunks are asked for in order, a few at a time, and taken in order: what is there of a file is always its beginning,
/// so a later process can go on from there.
package struct FetchState: Sendable {
    package enum Event: Sendable {
        /// There is a new connection.
        case connected
        /// A chunk arrived, with the digest of its content.
        case arrived(chunk: Int, digest: ModelCatalogue.Digest)
        case later
        case refused(String)
        case tick
    }

    package enum Action: Equatable, Sendable {
        case ask([Int])
        /// The content of this chunk belongs to the file.
        case keep(Int)
        /// Open another connection: this one does not answer.
        case reconnect
        /// All chunks are there.
        case finish
        case fail(FetchFailure)
    }

    /// Chunks that are asked for at once.
    private let window: Int
    /// How long an answer may take.
    private let patience: Duration
    /// How long to wait before asking again for what is being prepared.
    private let pause: Duration
    private let file: ModelCatalogue.File
    /// It is done when this many chunks are there.
    private let end: Int

    /// Chunks that are there.
    package private(set) var present: Int
    /// Asked for, in order; they follow those that are present.
    private var asked: [Int] = []
    private var lastAnswer = Duration.zero
    private var waitsUntil: Duration?
    private var isOver = false

    /// - Parameters:
    ///   - file: the file
    ///   - present: chunks at its beginning that are there, checked
    ///   - end: it is done when this many are there; nil: all
    ///   - window: chunks that are asked for at once
    ///   - patience: how long an answer may take
    ///   - pause: how long to wait before asking again for what is being prepared
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
            // One that an earlier connection was asked for.
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
        // Not for every chunk that arrives, but when half of the window has.
        guard !more.isEmpty, asked.isEmpty || more.count * 2 >= window else { return }
        if asked.isEmpty { lastAnswer = now }
        asked += more
        actions.append(.ask(more))
    }
}

/// Why a file cannot be fetched.
package enum FetchFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case refused(file: String, reason: String)
    /// A chunk is not what the catalogue announced.
    case otherContent(file: String, chunk: Int)
    /// The whole file is not what the catalogue announced.
    case otherFile(file: String)
    /// The files together are not the model that was announced.
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

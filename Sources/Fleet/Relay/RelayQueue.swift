import Protocol

/// Messages on their way to one worker, in order. A task waits until everything that it refers to has arrived: another
/// worker's connection may deliver it slightly later. Pure.
struct RelayQueue {
    private struct Item {
        let content: Content
        /// Size of the message as received.
        let bytes: Int
    }

    private enum Content {
        case frames([[UInt8]])
        case task(RelayedTask, since: Duration)
    }

    private var items: [Item] = []

    /// Maximum time that a task waits for what it refers to.
    static let patience: Duration = .seconds(5)

    /// What to do with the first message.
    enum Next {
        /// Nothing: the queue is empty, or its first task is still waiting.
        case nothing
        /// Send it; `of` is its size in bytes as received.
        case send([[UInt8]], of: Int)
        /// Give up on the task, which cannot be completed.
        case missing(UnitID, of: Int)
    }

    var isEmpty: Bool { items.isEmpty }

    mutating func add(_ frames: [[UInt8]], of bytes: Int) {
        items.append(Item(content: .frames(frames), bytes: bytes))
    }

    mutating func add(_ task: RelayedTask, at now: Duration, of bytes: Int) {
        items.append(Item(content: .task(task, since: now), bytes: bytes))
    }

    /// Removes and returns the first message, unless it has to wait.
    mutating func next(_ cells: KeptCells, at now: Duration) -> Next {
        guard let first = items.first else { return .nothing }
        let next: Next
        switch first.content {
        case .frames(let frames): next = .send(frames, of: first.bytes)
        case .task(let task, let since):
            if let latent = try? cells.latent(task.delta, task.pixels) {
                next = .send(task.frames(latent), of: first.bytes)
            } else if now - since >= Self.patience {
                next = .missing(task.unit, of: first.bytes)
            } else {
                return .nothing
            }
        }
        items.removeFirst()
        return next
    }
}

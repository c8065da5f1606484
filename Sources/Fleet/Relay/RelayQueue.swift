import Protocol

/// What is on its way to one worker, in order. A task waits until all that it refers to has come: another worker's connection may
/// bring it a little later. Pure.
struct RelayQueue {
    private struct Item {
        let content: Content
        /// As it came.
        let bytes: Int
    }

    private enum Content {
        case frames([[UInt8]])
        case task(RelayedTask, since: Duration)
    }

    private var items: [Item] = []

    /// How long a task waits for what it refers to.
    static let patience: Duration = .seconds(5)

    /// What becomes of the first message.
    enum Next {
        /// There is none, or it waits.
        case nothing
        /// It had so many bytes when it came.
        case send([[UInt8]], of: Int)
        /// The task cannot be completed.
        case missing(UnitID, of: Int)
    }

    var isEmpty: Bool { items.isEmpty }

    mutating func add(_ frames: [[UInt8]], of bytes: Int) {
        items.append(Item(content: .frames(frames), bytes: bytes))
    }

    mutating func add(_ task: RelayedTask, at now: Duration, of bytes: Int) {
        items.append(Item(content: .task(task, since: now), bytes: bytes))
    }

    /// Takes the first message, if something is to become of it.
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

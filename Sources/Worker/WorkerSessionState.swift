import Engine
import Protocol

/// Decides what a worker does next. Messages, results and a clock in, actions out; no socket and no thread.
///
///                 welcome                          refusal
///     ┌─────────┐ ───────▶ ┌─────────┐   (calling) ───────▶ ended
///     │ calling │          │ serving │   stop, or goodbye to a local child: ended
///     └─────────┘ ◀─────── └─────────┘
///         silence, goodbye: reconnect
///
/// A worker requests `credit` units when it joins: one to compute, and others so that the next one is already there
/// when the first is done. After each unit it sends the answer and requests another one. On a GPU it computes several
/// compatible units together, as many as `batches` says, and holds twice as many. A second full batch of views is
/// passed on while the first is computed, so that it is already on the device when the first is done.
package struct WorkerSessionState: Sendable {
    package struct Options: Sendable {
        package var hello: WorkerMessage.Hello
        /// Initial number of units to request.
        package var credit = 2
        /// Batch sizes: how many views are predicted together.
        package var batches = BatchSizes()
        /// Number of batches passed on for computing at once: two if a device computes one while the next is uploaded.
        package var depth = 1
        /// Whether the coordinator started this process, which then exits with the coordinator.
        package var isLocalChild = false
        /// Whether the session ends with its connection, instead of reconnecting.
        package var endsWithConnection = false
        /// How long to wait for a welcome before the next attempt.
        package var patience: Duration = .seconds(5)
        package var minPause: Duration = .milliseconds(100)
        package var maxPause: Duration = .seconds(5)

        package init(hello: WorkerMessage.Hello) {
            self.hello = hello
        }
    }

    package enum Event: Sendable {
        /// A new socket is connecting.
        case connected
        case received(CoordinatorMessage)
        /// Invalid frames arrived.
        case malformed(FrameError)
        /// If units were computed together, the first reports the time of all, and the others report 0. Batches finish
        /// in order.
        case finished(UnitID, microseconds: UInt64, Result<WorkResult, ComputeError>)
        /// Device memory holds this many views at once.
        case fitted(Int)
        case stop
        case tick
    }

    package enum Action: Sendable {
        case send(WorkerMessage)
        /// Compute these units together, after the earlier batches. Batches are numbered.
        case compute(Int, [(id: UnitID, unit: WorkUnit)])
        /// Nobody needs this batch any more: cancel it as soon as that is cheap.
        case cancel(Int)
        /// Send a report on this host, with the number of the inquiry and this many floats.
        case report(UInt64, floats: Int)
        /// Close the socket, wait, open a new one, and report that with `connected`.
        case reconnect(after: Duration, because: Cause)
        case end(Ending)
    }

    /// Why a connection is closed.
    package enum Cause: String, Sendable {
        case noWelcome = "the coordinator did not answer"
        case silence = "the coordinator stopped responding"
        case goodbye = "the coordinator ended"
        case unknown = "the coordinator does not know this worker any more"
        case removed = "the coordinator took this worker off its list"
        case malformed = "the coordinator sent an invalid message"
        case damaged = "a message was damaged in transit"
        case older = "the coordinator speaks an older version of the protocol"
    }

    package enum Ending: Sendable {
        case stopped
        case dismissed
        case refused(CoordinatorMessage.Refusal)
        /// The connection was lost, and the session was meant to end with it.
        case disconnected
    }

    private enum Phase {
        case idle
        case calling(since: Duration)
        case serving(CoordinatorMessage.Welcome, lastHeard: Duration, lastSent: Duration)
        case ended
    }

    private let options: Options
    /// The protocol version of the next hello; lowered after a coordinator refused ours.
    private var version: UInt32
    /// When the worker last reported on its host without being asked, or joined.
    private var reported = Duration.zero
    /// Interval of unsolicited reports.
    private static let reportPause: Duration = .seconds(10)
    private var phase = Phase.idle
    private var failures = 0
    private var job: CoordinatorMessage.Job?
    private var queue: [CoordinatorMessage.Task] = []
    private var embeddings = EmbeddingCache()
    /// Embeddings that were requested on this connection and have not arrived yet.
    private var demanded: Set<EmbeddingDigest> = []
    /// The protocol version of the last hello.
    private var said: UInt32 = 0
    /// Counts connections: a result that belongs to an earlier connection must not be sent on this one.
    private var connection = 0
    /// At most `Options.depth` batches; the first is being computed.
    private var computing: [Computing] = []
    /// Number of batches so far.
    private var count = 0
    private var batches: BatchSizes
    /// Number of units requested in advance, and the batch size that the coordinator was told.
    private var asked = 0
    private var told = 1

    /// Units that are being computed together.
    private struct Computing: Sendable {
        let number: Int
        let connection: Int
        /// The wire format of each unit's result; finished units are removed.
        var wires: [UnitID: WireFormat]
        /// Units that are still needed.
        var wanted: Set<UnitID>
        /// For views: their shape and number.
        let views: (shape: BatchSizes.Shape, count: Int)?
        var microseconds: UInt64 = 0
        var isWhole = true
    }

    package init(options: Options) {
        self.options = options
        version = options.hello.version
        batches = options.batches
    }

    /// Handles one event.
    ///
    /// - Returns: what to do, in this order
    package mutating func handle(_ event: Event, at now: Duration) -> [Action] {
        var actions: [Action] = []
        if case .ended = phase { return actions }
        switch event {
        case .connected:
            connection += 1
            job = nil
            demanded = []
            queue = []
            told = 1
            phase = .calling(since: now)
            var hello = options.hello
            hello.version = version
            // The next connection may be to an updated coordinator.
            version = options.hello.version
            said = hello.version
            actions.append(.send(.hello(hello)))
        case .received(let message):
            if case .serving(let welcome, _, let sent) = phase {
                phase = .serving(welcome, lastHeard: now, lastSent: sent)
            }
            receive(message, now, &actions)
        case .malformed(.damaged(let unit)):
            noteDamage(unit, &actions)
        case .malformed:
            reconnect(.malformed, &actions)
        case .finished(let unit, let microseconds, let result):
            finish(unit, microseconds, result, &actions)
        case .fitted(let views):
            batches.restrict(to: views)
            tellBatch(&actions)
        case .stop:
            if case .serving = phase { actions.append(.send(.goodbye(.leaving))) }
            end(.stopped, &actions)
        case .tick:
            tick(now, &actions)
        }
        computeNext(&actions)
        if case .serving(let welcome, let heard, _) = phase, actions.contains(where: \.isSend) {
            phase = .serving(welcome, lastHeard: heard, lastSent: now)
        }
        return actions
    }

    private mutating func receive(
        _ message: CoordinatorMessage,
        _ now: Duration,
        _ actions: inout [Action]
    ) {
        switch (message, phase) {
        case (.welcome(let welcome), .calling):
            phase = .serving(welcome, lastHeard: now, lastSent: now)
            reported = now
            failures = 0
            actions.append(.send(.ask(options.credit)))
            asked = options.credit
            tellBatch(&actions)
        case (.refusal(let refusal), .calling)
        where protocolVersions.contains(refusal.version) && refusal.version < said:
            version = refusal.version
            reconnect(.older, &actions)
        case (.refusal(let refusal), _):
            end(.refused(refusal), &actions)
        case (.inquiry(let inquiry), .serving):
            actions.append(.report(inquiry.number, floats: inquiry.floats))
        case (.job(let next), .serving):
            job = next
        case (.embedding(let digest, let value), .serving):
            if value.digest == digest { embeddings.insert(value) }
            demanded.remove(digest)
        case (.task(let task), .serving):
            if let job, job.id == task.job {
                var task = task
                task.wire = job.wire
                queue.append(task)
                demand(task.unit.embeddingDigests, &actions)
            } else {
                actions.append(.send(.failure(task.id, reason: "its job was not announced")))
                actions.append(.send(.ask(1)))
            }
        case (.abandon(let units), .serving):
            let dropped = queue.count
            queue.removeAll { units.contains($0.id) }
            if queue.count < dropped { actions.append(.send(.ask(dropped - queue.count))) }
            // Embeddings that no unit references any more may never arrive: a later unit requests them again.
            demanded.formIntersection(queue.flatMap(\.unit.embeddingDigests))
            for (place, batch) in computing.enumerated()
            where batch.connection == connection && !batch.wanted.isEmpty {
                computing[place].wanted.subtract(units)
                if computing[place].wanted.isEmpty { actions.append(.cancel(batch.number)) }
            }
        case (.goodbye(.leaving), _):
            if options.isLocalChild {
                end(.dismissed, &actions)
            } else {
                reconnect(.goodbye, &actions)
            }
        case (.goodbye(.unknown), _):
            reconnect(.unknown, &actions)
        case (.goodbye(.removed), _):
            reconnect(.removed, &actions)
        case (.heartbeat, _), (.welcome, _), (.job, _), (.embedding, _), (.task, _), (.abandon, _),
            (.joined, _), (.chunk, _), (.inquiry, _), (.admit, _):
            break
        }
    }

    /// Handles a message that was damaged in transit. The coordinator is told which unit it was, and sends it again. If
    /// the unit is not known, the connection is closed without blaming either side.
    private mutating func noteDamage(_ unit: UnitID?, _ actions: inout [Action]) {
        guard case .serving = phase, let unit else {
            if case .serving = phase { actions.append(.send(.goodbye(.leaving))) }
            return reconnect(.damaged, &actions)
        }
        actions.append(.send(.damaged(unit)))
        actions.append(.send(.ask(1)))
    }

    private mutating func finish(
        _ unit: UnitID,
        _ microseconds: UInt64,
        _ result: Result<WorkResult, ComputeError>,
        _ actions: inout [Action]
    ) {
        // If units of an earlier connection and of this one have the same id, the earlier one finishes first.
        guard let place = computing.firstIndex(where: { $0.wires[unit] != nil }) else { return }
        var done = computing[place]
        guard let wire = done.wires.removeValue(forKey: unit) else { return }
        done.microseconds += microseconds
        if case .failure = result { done.isWhole = false }
        computing[place] = done
        if done.wires.isEmpty { computing.remove(at: place) }
        if done.wires.isEmpty, done.isWhole, let views = done.views {
            batches.note(
                views.shape,
                views: views.count,
                seconds: Double(done.microseconds) / 1e6
            )
        }
        guard case .serving = phase, done.connection == connection else { return }
        switch result {
        case .success(let result):
            var answer = WorkerMessage.Answer(
                unit: unit,
                microseconds: microseconds,
                result: result,
                wire: wire
            )
            // The same for all jobs of a connection.
            answer.packs = job?.packs == true
            actions.append(.send(.answer(answer)))
        case .failure(.cancelled): break
        case .failure(.missing): actions.append(.send(.missing(unit)))
        case .failure(.failed(let reason)):
            actions.append(.send(.failure(unit, reason: reason)))
        }
        actions.append(.send(.ask(1)))
        tellBatch(&actions)
    }

    /// Tells the coordinator how many units are computed together, and requests as many more as the next batch needs.
    private mutating func tellBatch(_ actions: inout [Action]) {
        guard case .serving = phase else { return }
        let size = batches.largest
        if size != told { actions.append(.send(.batch(size))) }
        told = size
        guard size > 1, 2 * size > asked else { return }
        actions.append(.send(.ask(2 * size - asked)))
        asked = 2 * size
    }

    private mutating func tick(_ now: Duration, _ actions: inout [Action]) {
        switch phase {
        case .idle, .ended: break
        case .calling(let since):
            if now - since > options.patience { reconnect(.noWelcome, &actions) }
        case .serving(let welcome, let heard, let sent):
            if now - heard > welcome.timeout {
                reconnect(.silence, &actions)
            } else if now - sent >= welcome.heartbeat {
                actions.append(.send(.heartbeat))
            }
            if welcome.version >= 8, now - reported >= Self.reportPause {
                reported = now
                actions.append(.report(0, floats: 0))
            }
        }
    }

    /// Starts the first unit in the queue if its turn has come and its embeddings are here, together with others that
    /// can be computed in the same batch. A second batch must be full: otherwise the rest may still arrive before its
    /// turn.
    private mutating func computeNext(_ actions: inout [Action]) {
        while computing.isEmpty || isReadyForAnother {
            guard case .serving = phase, let next = queue.first else { return }
            let before = computing.count
            compute(next, &actions)
            if computing.count == before { return }
        }
    }

    /// Whether another batch may be passed on while one is computed. Cancelled batches of an earlier connection must
    /// end first.
    private var isReadyForAnother: Bool {
        computing.count < options.depth && computing.allSatisfy { $0.connection == connection }
    }

    private mutating func compute(
        _ next: CoordinatorMessage.Task,
        _ actions: inout [Action]
    ) {
        guard let first = complete(next.unit) else {
            return demand(next.unit.embeddingDigests, &actions)
        }
        var units = [(id: next.id, unit: first)]
        var wires = [next.id: next.wire]
        let shape = BatchSizes.Shape(first)
        let size = shape.map { batches.size(of: $0) } ?? 1
        for task in queue.dropFirst()
        where units.count < size && task.unit.sharesBatch(with: first) {
            guard let unit = complete(task.unit) else { continue }
            units.append((task.id, unit))
            wires[task.id] = task.wire
        }
        guard computing.isEmpty || shape != nil && units.count >= size else { return }
        queue.removeAll { wires[$0.id] != nil }
        count += 1
        computing.append(
            Computing(
                number: count,
                connection: connection,
                wires: wires,
                wanted: Set(wires.keys),
                views: shape.map { ($0, units.count) }
            )
        )
        actions.append(.compute(count, units))
    }

    /// The unit with its embeddings; nil if any of them is missing.
    private mutating func complete(_ unit: WorkUnit) -> WorkUnit? {
        var unit = unit
        for digest in unit.embeddingDigests {
            guard let found = embeddings.find(digest) else { return nil }
            unit.embeddings[digest] = found
        }
        return unit
    }

    /// Requests embeddings that are missing and have not been requested yet.
    private mutating func demand(_ digests: [EmbeddingDigest], _ actions: inout [Action]) {
        let missing = digests.filter { !embeddings.contains($0) && !demanded.contains($0) }
        guard !missing.isEmpty else { return }
        demanded.formUnion(missing)
        actions.append(.send(.wanted(missing)))
    }

    private mutating func reconnect(_ cause: Cause, _ actions: inout [Action]) {
        if options.endsWithConnection { return end(.disconnected, &actions) }
        phase = .idle
        queue = []
        job = nil
        actions += computing.map { .cancel($0.number) }
        let pause = min(options.maxPause, options.minPause * (1 << min(failures, 16)))
        failures += 1
        actions.append(.reconnect(after: pause, because: cause))
    }

    private mutating func end(_ ending: Ending, _ actions: inout [Action]) {
        phase = .ended
        actions.append(.end(ending))
    }
}

extension WorkerSessionState.Action {
    fileprivate var isSend: Bool {
        if case .send = self { return true }
        return false
    }
}

/// Why a unit was not computed.
package enum ComputeError: Error, Equatable, Sendable {
    case failed(String)
    /// It was no longer needed.
    case cancelled
    /// Its input was omitted, and the worker does not keep its tile.
    case missing
}

import Engine
import Logging
import Protocol

/// Passes events to the dispatcher, and carries out what it decides.
extension ClusterShell {
    func feed(_ event: DispatcherState.Event, answer: (WorkResult, Roster.Peer)? = nil) {
        inputs.append(Input(event: event, answer: answer))
        guard !isFeeding else { return }
        isFeeding = true
        while !inputs.isEmpty {
            let input = inputs.removeFirst()
            for action in state.handle(input.event, at: start.duration(to: .now)) {
                perform(action, input)
            }
        }
        isFeeding = false
    }

    func perform(_ action: DispatcherState.Action, _ input: Input) {
        switch action {
        case .assign(let unit, let worker, let attempt): assign(unit, to: worker, attempt)
        case .accept(let unit): accept(unit, input)
        case .skip(let unit):
            batch?.skip(unit)
            completeIfAnswered()
        case .drop(let unit): batch?.drop(unit)
        case .abandon(let unit, let worker):
            if let peer = roster[worker] { send(.abandon([unit]), to: peer) }
        case .evict(let worker):
            guard let peer = roster[worker] else { break }
            send(.goodbye(.unknown), to: peer)
            forget(peer, "\(WorkerLoss.silent)")
            warnOfSilence(of: peer)
        case .doubt(let worker):
            guard let peer = roster[worker] else { break }
            lastLoss = "\(peer.hello.name) has not answered in time"
            board.update(peer.place) { $0.isLate = true }
            logger.info("worker late", metadata: peer.metadata)
        case .setAside(let worker):
            guard let peer = roster[worker] else { break }
            board.update(peer.place) { $0.isActive = false }
            // It was reported already why its site is distrusted.
            guard jobs.values.allSatisfy({ !$0.distrusted.contains(peer.site) }) else { break }
            lastLoss = "\(peer.hello.name) was set aside after bad answers or none"
            logger.warning("worker set aside", metadata: peer.metadata)
        case .expel(let worker, let unit):
            guard let peer = roster[worker] else { break }
            logger.info(
                "unasked answer",
                metadata: peer.metadata.merging(["unit": "\(unit)"]) { $1 }
            )
            expel(peer, "answered what it was not asked")
        case .pause(let worker, let time):
            guard let peer = roster[worker] else { break }
            lastLoss = "\(peer.hello.name) failed repeatedly and is paused"
            warn("worker \(peer.hello.name) is paused: its host failed repeatedly (\(peer.host))")
            logger.info(
                "worker paused",
                metadata: peer.metadata.merging(["milliseconds": "\(time.milliseconds)"]) { $1 }
            )
        case .complete:
            endBatch()
            beginNext()
        case .failed(let unit, let failures):
            let name = batch?[unit]?.name ?? "\(unit)"
            fail(UnitFailed(unit: name, reasons: failures.map(roster.describe)))
        case .noWorkersLeft:
            fail(ClusterUnavailable(noWorkersMessage))
        }
    }

    var noWorkersMessage: String {
        let patience = configuration.policy.grace.components.seconds
        let waited = state.isClosed ? "" : " and none joined within \(patience) s"
        let loss = lastLoss.map { ": \($0.withoutFullStop)" } ?? ""
        return "no worker is left\(waited)\(loss). Look at the workers' messages, start workers "
            + "that connect to \(endpoint), and run the render again"
    }

    func assign(_ unit: UnitID, to worker: WorkerID, _ attempt: Int) {
        // It left while this was decided: its loss is the next event.
        guard let peer = roster[worker] else { return }
        guard let job = batch?.job.message, let request = batch?[unit] else {
            preconditionFailure("\(unit) for \(worker) is unknown\n\(state.trace)")
        }
        if attempt > 1 {
            board.update(peer.place) { $0.retries += 1 }
            logger.info(
                "unit tried again",
                metadata: peer.metadata.merging(
                    ["unit": "\(request.name)", "attempt": "\(attempt)"]) { $1 }
            )
        }
        batch?.assign(unit, to: peer.place)
        if request.kind != .tiles { note(unit, peer.place, isDone: false) }
        if firstTask[worker] == nil { firstTask[worker] = start.duration(to: .now) }
        announce(job, to: peer)
        let isKept = request.tile.map { jobs[job.id]?.homes[$0] == worker } ?? false
        var task = CoordinatorMessage.Task(
            id: unit,
            job: job.id,
            unit: request,
            wire: job.wire,
            omitsInput: isKept
        )
        task.packs = peer.packs
        task.delta = relays.delta(of: request, to: peer, as: job.wire)
        send(.task(task), to: peer)
    }

    /// Tells a worker about the job of the tasks that follow, unless it knows it.
    func announce(_ job: CoordinatorMessage.Job, to peer: Roster.Peer) {
        guard roster.announce(job.id, to: peer.worker) else { return }
        var job = job
        job.packs = peer.packs
        send(.job(job), to: peer)
    }

    func accept(_ unit: UnitID, _ input: Input) {
        guard let (result, peer) = input.answer, let request = batch?[unit] else {
            preconditionFailure("\(unit) is accepted without an answer\n\(state.trace)")
        }
        if let tile = request.tile, let job = batch?.job.message.id {
            jobs[job]?.homes[tile] = peer.worker
        }
        // A view that two workers share counts for the one that completes it.
        let answer = UnitAnswer(unit: request, result: result, answerer: peer.answerer)
        guard let completed = batch?.take(answer, for: unit) else { return }
        let place = completed.place
        defer { completeIfAnswered() }
        if place.isCheck {
            batch?.reports.put(.checked(place.index, answer))
            return
        }
        if request.kind != .tiles { note(unit, peer.place, isDone: true) }
        board.update(peer.place) { statistics in
            if request.kind == .tiles { statistics.tiles += 1 } else { statistics.views += 1 }
        }
        batch?.reports.put(.done(place, completed.result, completed.answers))
        forget(place)
    }

    /// Removes a view that was answered early from its step, if that waits for its turn, so that it is not computed
    /// again.
    private func forget(_ place: RunningBatch.Place) {
        for index in waiting.indices
        where waiting[index].reports === batch?.reports && waiting[index].request.step == place.step
        {
            waiting[index].request.units.removeAll { $0.index == place.index }
        }
    }

    /// Publishes who computes a view of the requested step.
    private func note(_ unit: UnitID, _ worker: Int, isDone: Bool) {
        guard let batch, let place = batch.place(of: unit), place.step == batch.step, !place.isCheck
        else { return }
        board.note(view: place.index, ViewAssignment(worker: worker, isDone: isDone))
    }
}

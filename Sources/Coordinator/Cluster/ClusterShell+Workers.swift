import Engine
import Foundation
import Logging
import Protocol

/// Messages from workers, and workers that join and leave.
extension ClusterShell {
    func receive() throws {
        // Bounded, so that a flood cannot keep the thread from its other duties.
        for _ in 0..<1024 {
            let (arrival, origin) = try socket.receive { roster[$0] != nil }
            switch arrival {
            case .nothing: return
            case .oversized(let id): reject(id, FrameError.frameCount(FrameLimits().frames + 1))
            case .message(let frames): receive(frames, from: origin)
            }
        }
        mailbox.wakeup.signal()
    }

    /// Handles a message from a worker or from an unidentified peer.
    func receive(_ frames: [[UInt8]], from origin: Origin) {
        let (id, body) = (frames[0], Array(frames.dropFirst()))
        let now = start.duration(to: .now)
        guard let peer = roster[id] else {
            silentConnections.heard(origin.connection)
            // A removed worker must not use up the rate limit of unidentified peers.
            let isInvited = !socket.allows(origin.key) && socket.invites(origin.key)
            guard isInvited || socket.allows(origin.key) else {
                dropped += 1
                // It was just told that it is removed: what it sent before it heard that must not end the connection
                // early.
                if origin.connection.map(leaving.contains) == true { return }
                return disconnect(on: origin)
            }
            guard unidentifiedPeers[origin.key, default: .unidentifiedPeer].admits(at: now) else {
                dropped += 1
                return
            }
            if isInvited { return register(id, body, from: origin) }
            return greet(id, body, from: origin)
        }
        guard roster.hears(peer.worker, at: now) else { return reject(id, .tooOften) }
        board.update(peer.place) { $0.received += body.reduce(0) { $0 + $1.count } }
        do throws(FrameError) {
            handle(try WorkerMessage(frames: body), from: peer)
        } catch {
            if case .damaged(let unit) = error { return noteDamage(unit, from: peer) }
            reject(id, error)
        }
    }

    /// Handles a message from a machine that was invited.
    private func register(_ id: [UInt8], _ frames: [[UInt8]], from origin: Origin) {
        let answer = registrar.answer(frames, from: origin, at: start.duration(to: .now)) {
            rejectionLog.say($0, at: start.duration(to: .now), logger, level: $1)
        }
        guard let answer else {
            dropped += 1
            return disconnect(on: origin)
        }
        send(answer, to: id)
    }

    /// Handles a message from an unknown peer: only an introduction is read, and only if it is small.
    func greet(_ id: [UInt8], _ frames: [[UInt8]], from origin: Origin) {
        guard frames.count == 1, frames[0].count <= 4096,
            let message = try? WorkerMessage(frames: frames)
        else {
            dropped += 1
            return
        }
        switch message {
        case .hello(let hello): admit(hello, id, from: origin)
        case .fetch(let request): serve(request, to: id, origin)
        case .heartbeat, .ask, .batch:
            // It believes that it has joined, but was given up, or had joined another coordinator here.
            send(.goodbye(.unknown), to: id)
        case .wanted, .answer, .failure, .missing, .damaged, .report, .goodbye, .join:
            dropped += 1
        }
    }

    func admit(_ hello: WorkerMessage.Hello, _ id: [UInt8], from origin: Origin) {
        // It is not at fault, and will try again: the next render may want it.
        if configuration.selected?.contains(hello.name) == false {
            _ = send(.goodbye(.leaving), to: id)
            return
        }
        if let refusal = Handshake.refusal(of: hello, by: configuration.required) {
            return refuse(hello, refusal, id, from: origin)
        }
        board.refuse(hello.name, nil)
        if let key = origin.key { board.note(prepared: key) }
        noteComputation(of: hello)
        if lost.remove(hello.name) != nil { logger.warning("worker \(hello.name) is back") }
        let peer = roster.add(hello, id, place: board.enter(hello, origin.key), from: origin)
        watchOutbox(id, origin)
        logger.info(
            "worker joined",
            metadata: peer.metadata.merging(
                ["threads": "\(hello.threads)", "processor": "\(hello.processor)"]) { $1 }
        )
        var welcome = CoordinatorMessage.Welcome(
            heartbeat: configuration.heartbeat,
            timeout: configuration.policy.silence
        )
        welcome.version = peer.version
        send(.welcome(welcome), to: peer)
        admitGuests(to: peer)
        let isRelayed = hello.relay != nil
        feed(.joined(peer.worker, from: peer.host, site: peer.site, behindRelay: isRelayed))
    }

    /// Refuses a worker, which may change and try again.
    private func refuse(
        _ hello: WorkerMessage.Hello,
        _ refusal: CoordinatorMessage.Refusal,
        _ id: [UInt8],
        from origin: Origin
    ) {
        // An obstacle to a change to other requirements says nothing about these.
        let problem =
            hello.obstacle?.requirements == configuration.required.summary
            ? hello.obstacle?.reason : nil
        let isChanging =
            hello.adapts && problem == nil && protocolVersions.contains(hello.version)
        let obstacle = problem.map { "; it cannot change: \($0.withoutFullStop)" } ?? ""
        let reason = refusal.reason + obstacle
        board.refuse(hello.name, RefusedWorker(reason: reason, isChanging: isChanging))
        if isChanging {
            if let key = origin.key { board.note(preparing: key) }
            logger.info("worker changes", metadata: ["reason": "\(reason)"])
        } else {
            warn("worker \(hello.name) refused: \(reason)")
            lastLoss = "\(hello.name) was refused: \(reason)"
        }
        send(.refusal(refusal), to: id)
    }

    /// Warns if workers compute differently: the picture's bytes then depend on which worker rendered what.
    private func noteComputation(of hello: WorkerMessage.Hello) {
        // GPUs of the same model compute the same; processors are not distinguished here.
        let gpu = TorchDevices.model(ofTitle: hello.processor).map { " on \($0)" }
        let own = "\(hello.backend) \(hello.precision)\(gpu ?? "")"
        if let other = computations.first, other != own, !computations.contains(own) {
            warn(
                "worker \(hello.name) computes with \(own), others with \(other): the picture depends on who "
                    + "renders what. Choose --backend and --precision for all"
            )
        }
        if !computations.contains(own), computations.count < 16 { computations.append(own) }
    }

    func handle(_ message: WorkerMessage, from peer: Roster.Peer) {
        board.update(peer.place) { $0.lastHeard = Date() }
        switch message {
        // A worker starts over on a new connection.
        case .hello: reject(peer.id, .repeatedHello)
        case .join: reject(peer.id, .field("join: it has joined"))
        case .fetch(let request):
            feed(.heard(peer.worker))
            serve(request, to: peer.id, peer.origin)
        case .ask(let units): feed(.asked(peer.worker, units))
        case .batch(let units): feed(.batches(peer.worker, units))
        case .wanted(let digests):
            feed(.heard(peer.worker))
            for digest in digests.prefix(PicturePart.maxAttention) {
                let named = batch?.embedding(digest)
                if let embedding = embeddings.find(digest) ?? named,
                    outboxes.mayHave(digest, peer.id)
                {
                    send(.embedding(digest, embedding), to: peer)
                    outboxes.sent(digest, to: peer.id)
                }
            }
        case .answer(let answer): handle(answer, from: peer)
        case .failure(let unit, let reason):
            if endProbe(unit.rawValue, of: peer, .failed(reason)) { return }
            refuse(unit, reason, peer)
        case .missing(let unit): miss(unit, peer)
        case .damaged(let unit): noteDamage(unit, from: peer)
        case .report(let report): note(report, from: peer)
        case .heartbeat: feed(.heard(peer.worker))
        case .goodbye: lose(peer, .left)
        }
    }

    func handle(_ answer: WorkerMessage.Answer, from peer: Roster.Peer) {
        if answerProbe(answer, of: peer) { return }
        guard let request = batch?[answer.unit], let model = batch?.job.model else {
            // It belongs to a batch that is over, or was never given: the dispatcher knows.
            return feed(.answered(answer.unit, by: peer.worker))
        }
        if answer.result.tensor != nil, let job = batch?.job.message, answer.wire != job.wire {
            return reject(peer.id, .field("answer: the job's element type"))
        }
        if let fault = request.fault(of: answer.result, model) {
            return refuse(answer.unit, fault, peer)
        }
        damagedInRow[peer.worker] = nil
        let spent = Duration.microseconds(Int64(clamping: answer.microseconds))
        board.update(peer.place) { $0.busy += min(spent, .seconds(86_400)) }
        noteSpeed(of: peer, request, model, spent)
        feed(
            .answered(answer.unit, by: peer.worker, spent: spent),
            answer: (answer.result, peer)
        )
    }

    /// A worker does not keep the tile of a unit that it was given without input, or its relay lacks a part of a
    /// latent. Once it has been given the whole input, it may not report that again.
    func miss(_ unit: UnitID, _ peer: Roster.Peer) {
        if batch?[unit]?.place != nil, !relays.noteGap(at: peer) {
            return refuse(unit, "it was given the whole latent, and misses it", peer)
        }
        if let tile = batch?[unit]?.tile, let job = batch?.job.message.id {
            guard jobs[job]?.homes[tile] == peer.worker else {
                return refuse(unit, "it was given the tile, and misses it", peer)
            }
            jobs[job]?.homes[tile] = nil
        }
        feed(.missed(unit, by: peer.worker))
    }

    func refuse(_ unit: UnitID, _ reason: String, _ peer: Roster.Peer) {
        warn("worker \(peer.hello.name): answer refused: \(reason)")
        refused.insert(peer.worker)
        logger.info(
            "answer refused",
            metadata: peer.metadata.merging(["reason": "\(reason)", "unit": "\(unit)"]) { $1 }
        )
        feed(.refused(unit, by: peer.worker, reason: reason))
    }

    func lose(_ peer: Roster.Peer, _ loss: WorkerLoss, account: String? = nil) {
        warnOfLoss(of: peer, loss)
        forget(peer, "\(loss)", account: account)
        feed(.lost(peer.worker, loss))
    }

    func forget(_ peer: Roster.Peer, _ manner: String, account: String? = nil) {
        guard roster.remove(peer.worker) else { return }
        if let relay = peer.hello.relay { relays.lost(peer, isLast: !roster.has(relay)) }
        firstTask[peer.worker] = nil
        admitted[peer.worker] = nil
        damagedInRow[peer.worker] = nil
        speedWatch.forget(peer.worker)
        endProbes(of: peer, "it \(account ?? manner)")
        refused.remove(peer.worker)
        board.update(peer.place) { worker in
            (worker.isActive, worker.isLate, worker.slowness) = (false, false, nil)
        }
        lastLoss = account ?? "\(peer.hello.name) \(manner)"
        let details: Logger.Metadata = ["how": "\(account ?? manner)"]
        logger.info("worker gone", metadata: peer.metadata.merging(details) { $1 })
    }

    /// Rejects malformed frames. A worker that sends them cannot be trusted to answer, and must reconnect.
    func reject(_ id: [UInt8], _ error: FrameError) {
        guard let peer = roster[id] else {
            dropped += 1
            return
        }
        warn("worker \(peer.hello.name): malformed message: \(error)")
        send(.goodbye(.unknown), to: peer)
        lose(peer, .vanished)
    }

    /// Ends the membership of a worker that broke the rules, and closes its connection.
    func expel(_ peer: Roster.Peer, _ reason: String) {
        warn("worker \(peer.hello.name) \(reason): its connection is closed")
        forget(peer, reason)
        if peer.origin.connection.map(leaving.contains) != true { disconnect(on: peer.origin) }
    }

    /// Logs a warning that a hostile worker could cause again and again, at a limited rate.
    func warn(_ line: String) { rejectionLog.say(line, at: start.duration(to: .now), logger) }

    /// Logs a notice, at the same limited rate.
    func tell(_ line: String) {
        rejectionLog.say(line, at: start.duration(to: .now), logger, level: .notice)
    }

    func disconnect(on origin: Origin) {
        if let connection = origin.connection { socket.disconnect(connection) }
    }

    /// Ends the membership of workers whose keys were taken off the list since they joined. They are told so, and are
    /// sent nothing else; their connections are closed at the next heartbeat. No host is charged for the units that
    /// they held.
    func disconnectRevokedPeers() {
        guard let allowed = socket.allowedKeys() else { return }
        for peer in roster.all where peer.origin.key.map(allowed.contains) != true {
            if peer.version >= 8, let connection = peer.origin.connection {
                send(.goodbye(.removed), to: peer)
                leaving.insert(connection)
            }
            expel(peer, "was disconnected: its key was taken off the list")
            feed(.lost(peer.worker, .left))
        }
        updateNeighbourhood(allowed: allowed)
    }

    func beat() {
        guard lastHeartbeat.duration(to: .now) >= configuration.heartbeat else { return }
        lastHeartbeat = .now
        for connection in leaving { socket.disconnect(connection) }
        leaving = []
        disconnectRevokedPeers()
        for connection in registrar.takeOverdue(at: start.duration(to: .now)) {
            socket.disconnect(connection)
        }
        if lastSweep.duration(to: .now) >= .seconds(5) {
            lastSweep = .now
            outboxes.sweep()
        }
        for peer in roster.all { send(.heartbeat, to: peer) }
    }
}

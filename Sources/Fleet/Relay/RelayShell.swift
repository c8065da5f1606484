import Coordinator
import Engine
import Logging
import Protocol

/// The relay's thread: carries messages between the workers of a site and their links to the coordinator.
final class RelayShell {
    enum Note: Sendable {
        case link([UInt8], RelayLink.Event)
        case stop
    }

    /// One connection from a worker.
    private struct Guest {
        let link: RelayLink
        let origin: Origin
        var queue = RelayQueue()
        var lastHeard: Duration
        var rate = RateLimit.worker
        /// The worker's name, once it has sent it.
        var name: String?
        /// Whether the coordinator welcomed it, and whether it said goodbye. A worker that asks for the model has a
        /// name but does not join.
        var hasJoined = false
        var hasLeft = false
        /// Bytes sent to it, and how many its system had acknowledged before that.
        var sent = 0
        let acknowledged: Int
        /// Unread bytes when they last changed, and the time of that change.
        var progress: (unread: Int, time: Duration)

        /// Bytes that were sent to it and are not yet acknowledged.
        var unread: Int {
            let arrived = origin.connection?.acknowledgedBytes
            return arrived.map { max(0, sent - ($0 - acknowledged)) } ?? 0
        }
    }

    let endpoint: Endpoint
    private let configuration: Relay.Configuration
    private let mailbox: Mailbox<Note>
    private let logger: Logger
    private let socket: Socket
    private let context: SocketContext
    private let start = ContinuousClock.now
    private let id = RelayMark.newID()
    private var guests: [[UInt8]: Guest] = [:]
    private var cells = KeptCells()
    private var registrar: Registrar
    private var log = RejectionLog()
    private var unidentified: [PublicKey?: RateLimit] = [:]
    private var lastBeat: Duration = .zero
    /// When it was last recorded which machines were heard; nil if that is due now.
    private var lastNoted: Duration?
    private var traffic = Relay.Traffic()
    private var watch = CoordinatorWatch()
    /// Names of lost workers that the user was told about.
    private var missed: Set<String> = []
    private var condition = Relay.Condition()

    /// Maximum number of connections.
    private static let maxGuests = 256
    private static let maxOfKey = 64
    /// Silence after which a worker counts as lost; it sends something twice a second.
    private static let silence: Duration = .seconds(60)
    private static let beat: Duration = .milliseconds(500)
    /// Unread bytes above which a worker is sent nothing more.
    private static let maxUnread = 8 << 20
    /// How long a worker may leave that much unread before it is disconnected: it holds up the others, because the
    /// coordinator limits what it sends to a site at a time.
    private static let patience: Duration = .seconds(20)

    private var now: Duration { start.duration(to: .now) }

    init(
        _ configuration: Relay.Configuration,
        _ mailbox: Mailbox<Note>,
        _ logger: Logger
    ) throws {
        (self.configuration, self.mailbox, self.logger) = (configuration, mailbox, logger)
        registrar = Registrar(configuration.joined)
        context = try SocketContext()
        socket = try Socket(.router, in: SocketContext(), security: configuration.security)
        endpoint = try socket.bind(configuration.endpoint)
    }

    /// Runs until it is told to stop.
    ///
    /// - Returns: the traffic that it carried
    /// - Throws: `SocketError` if the socket fails
    func run() throws -> Relay.Traffic {
        defer {
            for (peer, guest) in guests {
                _ = try? socket.send([peer] + CoordinatorMessage.goodbye(.leaving).frames)
                end(guest)
            }
            // Wait until the workers' last messages have been sent to the coordinator.
            for guest in guests.values { guest.link.join() }
        }
        while true {
            try socket.wait(mailbox.wakeup, for: Self.beat)
            let rejections = try socket.connectionChanges().rejections
            log.note(rejections, at: now, logger)
            try receive()
            for note in mailbox.take() {
                guard case .link(let peer, let event) = note else { return traffic }
                handle(event, for: peer)
            }
            for peer in guests.keys where guests[peer]?.queue.isEmpty == false {
                try pass(to: peer)
            }
            try keepWatch()
        }
    }

    /// Display name of a worker: one that fetches the model has not sent its name, but its machine has one.
    private func called(_ guest: Guest) -> String {
        if let name = guest.name { return name }
        let members = (try? configuration.joined?.book().members) ?? []
        return members.first { $0.key == guest.origin.key }?.name ?? guest.origin.address
    }

    @discardableResult
    private func say(_ line: String, _ level: Logger.Level = .warning) -> Bool {
        log.say(line, at: now, logger, level: level)
    }

    /// Records and reports why the relay cannot work with the coordinator.
    private func note(trouble words: String, _ line: String) {
        watch.note(trouble: words, isTold: say(line))
    }

    /// Receives messages from workers.
    private func receive() throws {
        for _ in 0..<1024 {
            let (arrival, origin) = try socket.receive { guests[$0] != nil }
            switch arrival {
            case .nothing: return
            case .oversized(let peer): leave(peer)
            case .message(let frames):
                let (peer, body) = (frames[0], Array(frames.dropFirst()))
                guard guests[peer] == nil else {
                    take(body, from: peer)
                    continue
                }
                try greet(peer, body, from: origin)
            }
        }
        mailbox.wakeup.signal()
    }

    /// Handles the first message of a connection.
    private func greet(_ peer: [UInt8], _ frames: [[UInt8]], from origin: Origin) throws {
        let isInvited = !socket.allows(origin.key) && socket.invites(origin.key)
        guard isInvited || socket.allows(origin.key) else { return disconnect(origin) }
        guard unidentified[origin.key, default: .unidentifiedPeer].admits(at: now) else { return }
        if isInvited {
            let answer = registrar.answer(frames, from: origin, at: now) { say($0, $1) }
            guard let answer else { return disconnect(origin) }
            _ = try socket.send([peer] + answer.frames)
            return
        }
        guard let message = Self.small(frames) else { return }
        switch message {
        case .hello, .fetch: break
        case .heartbeat, .ask, .batch:
            // The relay gave up on this worker, or it had joined another relay.
            _ = try socket.send([peer] + CoordinatorMessage.goodbye(.unknown).frames)
            return
        default: return
        }
        let own = guests.values.count { $0.origin.key == origin.key }
        guard guests.count < Self.maxGuests, own < Self.maxOfKey || origin.key == nil else {
            say(
                "a worker is rejected: \(Self.maxGuests) are connected, or \(Self.maxOfKey) of its machine"
            )
            return disconnect(origin)
        }
        let link: RelayLink
        do {
            link = try RelayLink(configuration.coordinator, configuration.keys, in: context) {
                [mailbox] event in
                mailbox.post(.link(peer, event))
            }
        } catch {
            say("a worker is rejected: \(error)")
            return disconnect(origin)
        }
        guests[peer] = Guest(
            link: link,
            origin: origin,
            lastHeard: now,
            acknowledged: origin.connection?.acknowledgedBytes ?? 0,
            progress: (0, now)
        )
        take(frames, from: peer)
    }

    /// Parses a message that is no larger than a worker's introduction.
    private static func small(_ frames: [[UInt8]]) -> WorkerMessage? {
        guard frames.count == 1, frames[0].count <= 4096 else { return nil }
        return try? WorkerMessage(frames: frames)
    }

    /// Passes a worker's message on to the coordinator.
    private func take(_ frames: [[UInt8]], from peer: [UInt8]) {
        guests[peer]?.lastHeard = now
        guard guests[peer]?.rate.admits(at: now) == true, let guest = guests[peer] else {
            return leave(peer)
        }
        var frames = frames
        let message = Self.small(frames)
        if case .goodbye? = message {
            guests[peer]?.hasLeft = true
        } else {
            watch.sent(at: now)
        }
        if case .hello(var hello)? = message {
            let machine = guest.origin.key?.fingerprint ?? guest.origin.address
            hello.relay = RelayMark(id: id, machine: machine)
            hello.name = "\(configuration.name)/\(hello.name)"
            guests[peer]?.name = hello.name
            frames = WorkerMessage.hello(hello).frames
        }
        traffic.up += frames.byteCount
        if !guest.link.send(frames) { leave(peer) }
    }

    /// Handles a message from the coordinator or a change of the connection to it.
    private func handle(_ event: RelayLink.Event, for peer: [UInt8]) {
        switch event {
        case .message(let frames):
            traffic.received += frames.byteCount
            keep(frames, for: peer)
        case .rejected(let rejection):
            guard case .notAllowed = rejection else { break }
            note(
                trouble: "the coordinator does not admit it",
                "the coordinator at \(configuration.coordinator.address) does not admit this relay. If it was removed, end "
                    + "it and run tessera relay with a new invitation; else another cluster is there now"
            )
        case .reconnected:
            // The coordinator tells joined workers. One that fetches the model asks again once it has reconnected.
            if guests[peer]?.hasJoined == false { leave(peer) }
        case .obstructed(let obstacle): note(trouble: obstacle, "\(obstacle); trying again")
        case .ended(let reason):
            guard let guest = guests[peer] else { break }
            say("the connection of worker \(called(guest)) to the coordinator ended: \(reason)")
            leave(peer)
        }
    }

    /// Queues a message for a worker, and keeps the parts that other workers need.
    private func keep(_ frames: [[UInt8]], for peer: [UInt8]) {
        guard let guest = guests[peer] else { return }
        let bytes = frames.byteCount
        do throws(FrameError) {
            let message = try RelayedMessage(frames: frames)
            if !message.endsAll, watch.heard() { logger.notice("the coordinator answers") }
            switch message {
            case .task(let task):
                cells.keep(task.delta, task.pixels)
                guests[peer]?.queue.add(task, at: now, of: bytes)
            case .admit(let keys):
                // To the coordinator, all machines of this site have the relay's key.
                let isHere = configuration.key.map(keys.contains) ?? false
                let here = isHere ? Set(guests.values.compactMap(\.origin.key)) : []
                let others = keys.filter { $0 != configuration.key }
                let all = others.union(here).sorted { $0.text < $1.text }
                let message = CoordinatorMessage.admit(Set(all.prefix(GuestList.maxCount)))
                guests[peer]?.queue.add(message.frames, of: bytes)
            case .welcome:
                lastNoted = nil
                guests[peer]?.hasJoined = true
                if missed.remove(called(guest)) != nil {
                    logger.notice("worker \(called(guest)) is back")
                } else {
                    say("worker \(called(guest)) has joined through this relay", .notice)
                }
                guests[peer]?.queue.add(frames, of: bytes)
            case .removed:
                note(
                    trouble: "the coordinator took it off its list",
                    "the coordinator took this relay off its list: end it and run tessera relay with a new invitation"
                )
                // The worker itself is still on the relay's own list.
                guests[peer]?.queue.add(CoordinatorMessage.goodbye(.leaving).frames, of: bytes)
            case .ended:
                note(
                    trouble: "the coordinator has ended",
                    "the coordinator has ended: workers wait for the next one"
                )
                guests[peer]?.queue.add(frames, of: bytes)
            case .file:
                traffic.files += bytes
                guests[peer]?.queue.add(frames, of: bytes)
            case .other: guests[peer]?.queue.add(frames, of: bytes)
            }
        } catch .damaged(let unit?) {
            giveBack(.damaged(unit), of: guest)
            guest.link.passedOn(bytes)
        } catch {
            // The worker will report the same error.
            guests[peer]?.queue.add(frames, of: bytes)
        }
    }

    /// Sends a worker the messages that are ready.
    private func pass(to peer: [UInt8]) throws {
        while let guest = guests[peer], guest.unread < Self.maxUnread {
            switch guests[peer]?.queue.next(cells, at: now) ?? .nothing {
            case .nothing: return
            case .missing(let unit, let came):
                giveBack(.missing(unit), of: guest)
                guest.link.passedOn(came)
            case .send(let frames, let came):
                let bytes = frames.byteCount
                guest.link.passedOn(came)
                traffic.sent += bytes
                guests[peer]?.sent += bytes
                guard try socket.send([peer] + frames) == .sent else {
                    tell(ofEndOf: peer, guest.hasLeft ? "has left" : Self.gone)
                    return leave(peer)
                }
            }
        }
    }

    /// Reports that a worker does not get a task, and that it can still accept as many as before.
    private func giveBack(_ failure: WorkerMessage, of guest: Guest) {
        _ = guest.link.send(failure.frames)
        _ = guest.link.send(WorkerMessage.ask(1).frames)
    }

    /// Closes connections of workers that are gone or were removed.
    private func keepWatch() throws {
        guard now - lastBeat >= Self.beat else { return }
        lastBeat = now
        noteHeard()
        if watch.isFallingSilent(at: now, hasWorkers: !guests.isEmpty) {
            note(
                trouble: "the coordinator does not answer",
                "the coordinator says nothing: workers wait for it"
            )
        }
        for connection in registrar.takeOverdue(at: now) { socket.disconnect(connection) }
        let allowed = socket.allowedKeys()
        for (peer, guest) in guests {
            let isRemoved = allowed.map { !$0.contains { $0 == guest.origin.key } } ?? false
            if isRemoved {
                _ = try socket.send([peer] + CoordinatorMessage.goodbye(.removed).frames)
            }
            if isStuck(peer) {
                say(
                    "worker \(called(guest)) does not read what it is sent: its connection is ended"
                )
                leave(peer)
                continue
            }
            let isGone = guest.origin.connection?.isOpen == false
            guard isRemoved || isGone || now - guest.lastHeard > Self.silence else { continue }
            let manner =
                isRemoved
                ? "was removed"
                : guest.hasLeft ? "has left" : isGone ? Self.gone : "has sent nothing for a minute"
            tell(ofEndOf: peer, manner)
            leave(peer)
        }
        noteCondition()
    }

    /// Logs that a worker is gone. Not while the coordinator is down, when workers come and go, nor if the worker has
    /// reconnected.
    private func tell(ofEndOf peer: [UInt8], _ manner: String) {
        guard let guest = guests[peer], let name = guest.name, guest.hasJoined, watch.trouble == nil
        else { return }
        let isBack = guests.contains { $0 != peer && $1.hasJoined && $1.name == name }
        if !isBack, say("worker \(name) \(manner)", .notice), missed.count < 4096 {
            missed.insert(name)
        }
    }

    private static let gone = "is gone: its connection ended"

    /// Publishes the condition if it has changed.
    private func noteCondition() {
        let workers = guests.values.filter { $0.name != nil }
        let next = Relay.Condition(
            present: Set(workers.compactMap(\.origin.key)),
            trouble: watch.trouble
        )
        guard next != condition else { return }
        condition = next
        configuration.noteCondition(next)
    }

    /// Whether a worker has read nothing for a long time although much is waiting for it.
    private func isStuck(_ peer: [UInt8]) -> Bool {
        guard let guest = guests[peer] else { return false }
        let unread = guest.unread
        if unread < Self.maxUnread || unread != guest.progress.unread {
            guests[peer]?.progress = (unread, now)
        }
        return now - (guests[peer]?.progress.time ?? now) > Self.patience
    }

    /// Records when machines were last heard from, for `tessera cluster members`.
    private func noteHeard() {
        if let lastNoted, now - lastNoted < .seconds(5) { return }
        lastNoted = now
        let ages = guests.values.compactMap { guest in
            guest.origin.key.map { ($0, (now - guest.lastHeard) / .seconds(1)) }
        }
        if !ages.isEmpty {
            configuration.noteHeard(Dictionary(ages, uniquingKeysWith: min))
        }
    }

    /// Closes both connections of a worker.
    private func leave(_ peer: [UInt8]) {
        guard let guest = guests.removeValue(forKey: peer) else { return }
        end(guest)
        disconnect(guest.origin)
    }

    private func end(_ guest: Guest) {
        _ = guest.link.send(WorkerMessage.goodbye(.leaving).frames)
        guest.link.stop()
    }

    private func disconnect(_ origin: Origin) {
        if let connection = origin.connection { socket.disconnect(connection) }
    }
}

import Engine
import Logging
import Protocol
import Synchronization

/// Sends this worker's model to machines on its network that lack it. Only those that its coordinator names may connect, only
/// while it is connected to that coordinator, and only files of the model that it computes with can be asked for.
package final class NeighbourServer: Sendable {
    private enum Note: Sendable {
        case served(ModelServer.Served)
        case stop
    }

    private struct Offer: Sendable {
        let digest: String
        let server: ModelServer
    }

    /// What the threads share.
    private final class State: Sendable {
        let guests = GuestList()
        let offer = Mutex<Offer?>(nil)
    }

    /// What neighbours need to call.
    package let share: ModelShare
    private let state: State
    private let mailbox: Mailbox<Note>
    private let thread: NamedThread

    /// Largest request, in bytes.
    private static let maxRequest = 4096
    /// Requests are small, and one that does not read its answers does not fill the memory with them.
    private static let limits = {
        var limits = FrameLimits()
        (limits.tensor, limits.unsent) = (64 << 10, 32)
        return limits
    }()

    /// Listens.
    ///
    /// - Parameters:
    ///   - port: 0 lets the system choose
    ///   - logger: is told who fetches
    /// - Throws: `InputError` when another process listens there, `SocketError`
    package init(port: UInt16, logger: Logger) throws {
        let pair = try KeyPair.new()
        let (mailbox, state) = (try Mailbox<Note>(), State())
        (self.mailbox, self.state) = (mailbox, state)
        let bound = BlockingQueue<Result<UInt16, any Error>>()
        thread = NamedThread("neighbours") {
            do {
                let socket = try Socket(
                    .router,
                    in: SocketContext(),
                    security: .coordinator(pair, allowed: AllowedKeys(guests: state.guests)),
                    limits: Self.limits
                )
                let endpoint = try socket.bind(Endpoint("tcp://*:\(port)", reach: .network))
                bound.put(.success(endpoint.port ?? 0))
                try Self.run(socket, state, mailbox, logger)
            } catch let error as EndpointTaken {
                bound.put(.failure(error.inputError))
            } catch {
                logger.warning("nothing is shared with neighbours any more: \(error)")
                bound.put(.failure(error))
            }
        }
        share = ModelShare(
            key: pair.publicKey,
            port: try bound.take().get(),
            addresses: LANAddress.own
        )
    }

    /// Whom the coordinator lets fetch.
    package func admit(_ keys: Set<PublicKey>) {
        state.guests.replace(keys)
        // Digests are computed before the first request.
        if !keys.isEmpty { state.offer.withLock { $0?.server.prepare() } }
    }

    /// What can be fetched from now on: the model of these networks.
    package func offer(_ networks: any ModelNetworks) {
        guard let loaded = networks as? LoadedNetworks else { return }
        let (digest, model) = (loaded.identity.digest, loaded.model)
        let old = state.offer.withLock { offer -> ModelServer? in
            guard offer?.digest != digest else { return nil }
            let old = offer?.server
            let server = ModelServer(digest: digest, open: { () throws(InputError) in model }) {
                [mailbox] in mailbox.post(.served($0))
            }
            offer = Offer(digest: digest, server: server)
            return old
        }
        old?.stop()
    }

    /// Whether this worker computes, which must not be slowed down.
    func note(isBusy: Bool) { state.offer.withLock { $0?.server.note(isBusy: isBusy) } }

    /// Ends it. Call once.
    package func stop() {
        mailbox.post(.stop)
        thread.join()
        let last = state.offer.withLock { offer in
            defer { offer = nil }
            return offer
        }
        last?.server.stop()
    }

    private static func run(
        _ socket: borrowing Socket,
        _ state: State,
        _ mailbox: Mailbox<Note>,
        _ logger: Logger
    ) throws {
        var progress: [PublicKey: SendProgress] = [:]
        while true {
            try socket.wait(mailbox.wakeup, for: .milliseconds(500))
            for note in mailbox.take() {
                switch note {
                case .stop: return
                case .served(let served):
                    // One that does not read asks again.
                    let message = CoordinatorMessage.chunk(served.answer)
                    _ = try socket.send([served.peer] + message.frames)
                    guard case .bytes(let bytes) = served.answer.content else { continue }
                    if progress.count >= GuestList.maxCount { progress = [:] }
                    progress[served.key, default: SendProgress(served.key)]
                        .add(bytes.count, of: served.total, logger)
                }
            }
            // Nobody is told of strangers, but what is noted of them must not pile up.
            _ = try socket.connectionChanges()
            try receive(from: socket, state)
        }
    }

    private static func receive(from socket: borrowing Socket, _ state: State) throws {
        for _ in 0..<256 {
            let (arrival, origin) = try socket.receive { _ in false }
            switch arrival {
            case .nothing: return
            case .oversized: if let connection = origin.connection { socket.disconnect(connection) }
            case .message(let frames):
                guard let key = origin.key, state.guests.contains(key), frames.count == 2,
                    frames[1].count <= maxRequest,
                    case .fetch(let request)? = try? WorkerMessage(frames: [frames[1]])
                else {
                    if let connection = origin.connection { socket.disconnect(connection) }
                    continue
                }
                for answer in answers(to: request, from: frames[0], key, state) {
                    _ = try socket.send([frames[0]] + CoordinatorMessage.chunk(answer).frames)
                }
            }
        }
    }

    /// What can be answered at once; chunks follow.
    private static func answers(
        to request: ChunkRequest,
        from peer: [UInt8],
        _ key: PublicKey,
        _ state: State
    ) -> [ChunkAnswer] {
        state.offer.withLock { offer in
            let content: ChunkAnswer.Content
            switch offer?.server {
            case nil: content = .refused("it has no model now")
            case let server? where server.isReady:
                server.ask(request, for: peer, key)
                return []
            case let server?:
                server.prepare()
                content = .later
            }
            return request.chunks.map { ChunkAnswer(request.digest, $0, content) }
        }
    }

    /// Tells a person how much a neighbour has got, by quarters.
    private struct SendProgress {
        private let name: String
        private var bytes = 0
        private var quarters = -1

        init(_ key: PublicKey) { name = key.fingerprint }

        mutating func add(_ count: Int, of total: Int, _ logger: Logger) {
            bytes += count
            let now = min(4, bytes * 4 / max(1, total))
            guard now > quarters else { return }
            quarters = now
            logger.notice(
                now == 0
                    ? "a machine of this network fetches the model from here (key \(name))"
                    : "sent \(now * 25) % of the model to a machine of this network (key \(name))"
            )
        }
    }
}

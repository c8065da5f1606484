import Engine
import Logging
import Protocol
import Synchronization

/// Sends this worker's model to machines on its network that lack it. Only machines that its coordinator names may
/// connect, only while it is connected to that coordinator, and they can request only files of the model that it
/// currently computes with.
package final class NeighbourServer: Sendable {
    private enum Note: Sendable {
        case served(ModelServer.Served)
        case stop
    }

    private struct Offer: Sendable {
        let digest: String
        let server: ModelServer
    }

    /// State shared between the threads.
    private final class State: Sendable {
        let guests = GuestList()
        let offer = Mutex<Offer?>(nil)
    }

    /// What neighbours need to know in order to connect.
    package let share: ModelShare
    private let state: State
    private let mailbox: Mailbox<Note>
    private let thread: NamedThread

    /// Largest request, in bytes.
    private static let maxRequest = 4096
    /// Requests are small, and a peer that does not read its answers must not fill our memory with them.
    private static let limits = {
        var limits = FrameLimits()
        (limits.tensor, limits.unsent) = (64 << 10, 32)
        return limits
    }()

    /// Starts to listen.
    ///
    /// - Parameters:
    ///   - port: 0 to let the system choose
    ///   - logger: logs who fetches
    /// - Throws: `InputError` if another process listens on the port, `SocketError`
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
                logger.warning("stopped sharing with neighbours: \(error)")
                bound.put(.failure(error))
            }
        }
        share = ModelShare(
            key: pair.publicKey,
            port: try bound.take().get(),
            addresses: LANAddress.own
        )
    }

    /// Sets the machines that may fetch, as named by the coordinator.
    package func admit(_ keys: Set<PublicKey>) {
        state.guests.replace(keys)
        // Digests are computed before the first request.
        if !keys.isEmpty { state.offer.withLock { $0?.server.prepare() } }
    }

    /// Sets what can be fetched from now on: the model of these networks.
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

    /// Tells the server whether this worker is computing, which must not be slowed down.
    func note(isBusy: Bool) { state.offer.withLock { $0?.server.note(isBusy: isBusy) } }

    /// Stops the server. Call once.
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
                    // If the peer does not read, it will ask again.
                    let message = CoordinatorMessage.chunk(served.answer)
                    _ = try socket.send([served.peer] + message.frames)
                    guard case .bytes(let bytes) = served.answer.content else { continue }
                    if progress.count >= GuestList.maxCount { progress = [:] }
                    progress[served.key, default: SendProgress(served.key)]
                        .add(bytes.count, of: served.total, logger)
                }
            }
            // Rejected strangers are not reported, but their records must not pile up.
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

    /// The answers that can be given at once; chunks follow later.
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

    /// Logs how much a neighbour has received, in steps of a quarter.
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
                    ? "a machine on this network is fetching the model from here (key \(name))"
                    : "sent \(now * 25) % of the model to a machine of this network (key \(name))"
            )
        }
    }
}

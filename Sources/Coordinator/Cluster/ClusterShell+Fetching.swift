import Engine
import Protocol

/// Workers that lack the model and fetch its files.
extension ClusterShell {
    /// A machine that fetches the model.
    struct Fetched {
        var name: String
        /// Quarters of the model that it has, as far as the user was told.
        var quarters = 0
    }

    /// Maximum number of machines whose progress is followed.
    private static let maxFetching = 1024

    /// Sends a worker the chunks that it asks for. Only workers with keys get any: otherwise any process could read the
    /// model.
    func serve(_ request: ChunkRequest, to id: [UInt8], _ origin: Origin) {
        guard let key = origin.key else {
            let reason = "without keys files are not sent"
            for chunk in request.chunks {
                send(.chunk(ChunkAnswer(request.digest, chunk, .refused(reason))), to: id)
            }
            return
        }
        if fetched[key] == nil, fetched.count < Self.maxFetching {
            let member = (try? configuration.joined?.book())?.members.first { $0.key == key }
            let name = member?.name ?? origin.address
            fetched[key] = Fetched(name: name)
            tell("machine \(name) lacks the model and fetches it")
        }
        if fetched[key] != nil { board.note(preparing: key) }
        // Before the catalogue is sent, so that neighbours admit the machine when it calls.
        invite(key, request.addresses, from: origin.address)
        let server = modelServer ?? makeServer()
        modelServer = server
        watchOutbox(id, origin)
        let chunks = request.chunks.prefix(outboxes.chunksAllowed(id))
        outboxes.note(wantsMore: chunks.count < request.chunks.count, of: id)
        if chunks.count < request.chunks.count {
            let name = fetched[key]?.name ?? origin.address
            warn(
                "machine \(name) requests the model faster than it reads: more is sent once it has caught up"
            )
        }
        guard !chunks.isEmpty else { return }
        let asked = server.ask(ChunkRequest(request.digest, Array(chunks)), for: id, key)
        outboxes.asked(asked, by: id)
    }

    /// Begins to count the bytes that a peer has not read.
    func watchOutbox(_ id: [UInt8], _ origin: Origin) {
        guard let connection = origin.connection else { return }
        outboxes.open(id, key: origin.key) { connection.acknowledgedBytes }
    }

    private func makeServer() -> ModelServer {
        let required = configuration.required
        return ModelServer(
            digest: required.model.digest,
            open: { () throws(InputError) in
                try Model(path: required.model.path, options: try required.modelOptions())
            },
            post: { [mailbox] in mailbox.post(.served($0)) }
        )
    }

    /// The server has read a chunk.
    func deliver(_ served: ModelServer.Served) {
        var answer = served.answer
        let (id, key) = (served.peer, served.key)
        if answer.digest.description == configuration.required.model.digest {
            answer.neighbours = neighbours(of: key)
        }
        // A peer that is gone or does not read will ask again.
        guard outboxes.takeChunk(for: id) else { return }
        send(.chunk(answer), to: id)
        if outboxes.takeWish(of: id) {
            send(.chunk(ChunkAnswer(answer.digest, answer.chunk, .later)), to: id)
        }
        guard case .bytes = answer.content, let machine = fetched[key], served.total > 0 else {
            return
        }
        let quarters = served.reach * 4 / served.total
        if quarters > machine.quarters {
            fetched[key]?.quarters = quarters
            tell("machine \(machine.name) has \(quarters * 25) % of the model")
        }
    }
}

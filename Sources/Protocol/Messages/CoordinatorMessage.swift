import Engine
import Foundation

/// Messages from the coordinator; see `docs/protocol.md`.
package enum CoordinatorMessage: Sendable {
    case welcome(Welcome)
    case refusal(Refusal)
    case job(Job)
    /// One embedding, with the digest under which it is cached.
    case embedding(EmbeddingDigest, Embedding)
    case task(Task)
    /// The results of these units are no longer needed.
    case abandon([UnitID])
    /// The answer to a machine that wants to join.
    case joined(JoinAnswer)
    /// A chunk of a file of the model.
    case chunk(ChunkAnswer)
    /// Asks about the state of the worker's host. Only for workers with protocol version 8.
    case inquiry(Inquiry)
    /// Machines that may fetch the model from the worker. Only for workers that share their model.
    case admit(Set<PublicKey>)
    case heartbeat
    case goodbye(GoodbyeReason)

    /// The worker has been admitted.
    package struct Welcome: Equatable, Sendable {
        package var version = protocolVersion
        /// Heartbeat interval, for both sides.
        package var heartbeat: Duration
        /// Silence after which the other side is considered lost.
        package var timeout: Duration

        package init(heartbeat: Duration, timeout: Duration) {
            self.heartbeat = heartbeat
            self.timeout = timeout
        }
    }

    /// The worker must not reconnect unchanged.
    package struct Refusal: Equatable, Sendable {
        package var version = protocolVersion
        /// The coordinator's version of Tessera.
        package var program = tesseraVersion
        package var required: WorkerRequirements
        package var reason: String

        package init(_ required: WorkerRequirements, reason: String) {
            self.required = required
            self.reason = reason
        }
    }

    /// The following tasks belong to this job.
    package struct Job: Equatable, Sendable {
        package var id: UInt64
        /// Element type of latents and results on the wire.
        package var wire: WireFormat
        /// Whether the tensors of tasks and answers may be packed.
        package var packs = false

        package init(id: UInt64, wire: WireFormat = .f32) {
            (self.id, self.wire) = (id, wire)
        }
    }

    /// One unit of work, without its embeddings.
    package struct Task: Sendable {
        package var id: UnitID
        package var job: UInt64
        package var unit: WorkUnit
        /// Element type of its tensors on the wire.
        package var wire: WireFormat
        /// Whether its tensors are packed.
        package var packs = false
        /// Whether its worker keeps the unit's tile, so that its input is not sent.
        package var omitsInput: Bool
        /// For a task sent to a relay: the delta of its input, and the pixels to send.
        package var delta: (LatentDelta, pixels: Tensor?)?

        package init(
            id: UnitID,
            job: UInt64,
            unit: WorkUnit,
            wire: WireFormat = .f32,
            omitsInput: Bool = false
        ) {
            (self.id, self.job, self.unit, self.wire) = (id, job, unit, wire)
            self.omitsInput = omitsInput
        }
    }
}

extension CoordinatorMessage {
    /// The frames of the message.
    package var frames: [[UInt8]] {
        var envelope = WireEnvelope()
        var tensors: [Tensor] = []
        var (wire, packs) = (WireFormat.f32, false)
        switch self {
        case .welcome(let welcome):
            envelope.welcome = .with {
                $0.protocolVersion = welcome.version
                $0.heartbeatMilliseconds = UInt32(welcome.heartbeat.milliseconds)
                $0.timeoutMilliseconds = UInt32(welcome.timeout.milliseconds)
            }
        case .refusal(let refusal):
            envelope.refusal = WireRefusal(refusal)
        case .job(let job):
            envelope.job = .with {
                $0.job = job.id
                $0.elementType = job.wire.elementType
                $0.packs = job.packs
            }
        case .embedding(let digest, let embedding):
            envelope.embedding = .with { $0.digest = digest.data }
            tensors = [embedding.context] + (embedding.pooled.map { [$0] } ?? [])
        case .task(let task):
            envelope.task = WireTask(task)
            tensors = task.omitsInput ? [] : [task.unit.input]
            if let delta = task.delta { tensors = delta.pixels.map { [$0] } ?? [] }
            (wire, packs) = (task.wire, task.packs)
        case .abandon(let units):
            envelope.abandon = .with { $0.units = units.map(\.rawValue) }
        case .joined(let answer):
            envelope.joined = WireJoined(answer)
        case .chunk(let answer):
            return answer.frames
        case .inquiry(let inquiry):
            envelope.inquiry = WireInquiry(inquiry)
            tensors = inquiry.load > 0 ? [Tensor(zeros: [inquiry.load])] : []
        case .admit(let keys):
            envelope.admit = .with { $0.keys = keys.map { Data($0.bytes) } }
        case .heartbeat:
            envelope.heartbeat = WireHeartbeat()
        case .goodbye(let reason):
            envelope.goodbye = WireGoodbye(reason)
        }
        return FrameCodec.frames(envelope, tensors, as: wire, packs: packs)
    }

    /// Reads a message from its frames.
    ///
    /// - Throws: `FrameError` if the message is not one that a coordinator would send
    package init(frames: [[UInt8]], limits: FrameLimits = FrameLimits()) throws(FrameError) {
        let (envelope, tensors) = try FrameCodec.parse(frames, limits: limits)
        switch envelope.body {
        case .welcome(let welcome):
            try tensors.expect(0)
            self = .welcome(try Welcome(welcome))
        case .refusal(let refusal):
            try tensors.expect(0)
            var value = Refusal(
                try WorkerRequirements(refusal),
                reason: printable(refusal.reason, limit: 1000)
            )
            value.version = refusal.protocolVersion
            value.program = printable(refusal.version, limit: 32)
            self = .refusal(value)
        case .job(let job):
            try tensors.expect(0)
            self = .job(try Job(job))
        case .embedding(let embedding):
            let digest = try EmbeddingDigest(wire: embedding.digest, field: "embedding.digest")
            guard (1...2).contains(tensors.count) else { throw .tensorCount(tensors.count) }
            guard tensors[0].shape.count == 3, tensors[0].shape[0] == 1,
                tensors.count == 1 || (tensors[1].shape.count == 2 && tensors[1].shape[0] == 1)
            else { throw .field("embedding: shape") }
            let pooled = tensors.count == 2 ? tensors[1] : nil
            self = .embedding(digest, Embedding(context: tensors[0], pooled: pooled))
        case .task(let task):
            guard tensors.count <= 1 else { throw .tensorCount(tensors.count) }
            self = .task(try Task(task, input: tensors.first))
        case .abandon(let abandon):
            try tensors.expect(0)
            self = .abandon(abandon.units.map { UnitID($0) })
        case .joined(let joined):
            try tensors.expect(0)
            self = .joined(JoinAnswer(joined))
        case .chunk(let chunk):
            self = .chunk(try ChunkAnswer(chunk, frames.dropFirst()))
        case .inquiry(let inquiry):
            self = .inquiry(try Inquiry(inquiry, tensors))
        case .admit(let admit):
            try tensors.expect(0)
            let keys = admit.keys.compactMap { PublicKey(bytes: Array($0)) }
            guard keys.count == admit.keys.count, keys.count <= GuestList.maxCount else {
                throw .field("admit.keys")
            }
            self = .admit(Set(keys))
        case .heartbeat:
            try tensors.expect(0)
            self = .heartbeat
        case .goodbye(let goodbye):
            try tensors.expect(0)
            self = .goodbye(try GoodbyeReason(goodbye))
        case .hello, .ask, .batch, .wanted, .answer, .failure, .join, .fetch, .report:
            throw .wrongDirection
        case nil:
            throw .noBody
        }
    }
}

extension CoordinatorMessage.Welcome {
    fileprivate init(_ wire: WireWelcome) throws(FrameError) {
        guard (1...3_600_000).contains(wire.heartbeatMilliseconds) else {
            throw .field("welcome.heartbeat_milliseconds")
        }
        guard (wire.heartbeatMilliseconds...3_600_000).contains(wire.timeoutMilliseconds) else {
            throw .field("welcome.timeout_milliseconds")
        }
        self.init(
            heartbeat: .milliseconds(wire.heartbeatMilliseconds),
            timeout: .milliseconds(wire.timeoutMilliseconds)
        )
        version = wire.protocolVersion
    }
}

extension CoordinatorMessage.Job {
    fileprivate init(_ wire: WireJob) throws(FrameError) {
        self.init(
            id: wire.job,
            wire: wire.elementType == .unspecified ? .f32 : try WireFormat(wire.elementType)
        )
        packs = wire.packs
    }
}

extension CoordinatorMessage.Task {
    fileprivate init(_ wire: WireTask, input: Tensor?) throws(FrameError) {
        guard !wire.hasDelta else { throw .field("task.delta: it is for a relay") }
        let isWell = input.map { $0.shape.count == 4 && $0.shape[0] == 1 } ?? true
        guard isWell else { throw .field("task: shape") }
        let work: WorkUnit.Work
        switch wire.work {
        case .predict(let predict): work = .predict(try WorkUnit.View(predict))
        case .decode(let decode):
            work = .autoencode(.decoder, decode.hasPart ? try PicturePart(decode.part) : nil)
        case .encode(let encode):
            work = .autoencode(.encoder, encode.hasPart ? try PicturePart(encode.part) : nil)
        case nil:
            throw .field("task.work")
        }
        if case .predict(let view) = work, let input, view.pictureChannels >= input.shape[3] {
            throw .field("task.predict.picture_channels")
        }
        let id = UnitID(wire.unit)
        let unit = WorkUnit(work, input: input ?? .omitted, name: "\(id)")
        guard input != nil || unit.tile != nil else { throw .tensorCount(0) }
        self.init(id: id, job: wire.job, unit: unit, omitsInput: input == nil)
    }
}

extension WireTask {
    fileprivate init(_ task: CoordinatorMessage.Task) {
        self.init()
        unit = task.id.rawValue
        job = task.job
        if let (delta, _) = task.delta {
            self.delta = WireDelta(delta, task.wire, packs: task.packs)
        }
        switch task.unit.work {
        case .predict(let view): predict = WirePredict(view)
        case .autoencode(.decoder, let part):
            decode = .with { if let part { $0.part = WirePart(part) } }
        case .autoencode(.encoder, let part):
            encode = .with { if let part { $0.part = WirePart(part) } }
        }
    }
}

extension Duration {
    /// The duration in milliseconds, truncated to an integer.
    package var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}

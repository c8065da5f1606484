import Engine
import Foundation

/// Messages from a worker; see `docs/protocol.md`.
package enum WorkerMessage: Sendable {
    case hello(Hello)
    /// The worker accepts this many more units.
    case ask(Int)
    /// The worker computes up to this many units together.
    case batch(Int)
    /// Requests embeddings that the worker lacks.
    case wanted([EmbeddingDigest])
    case answer(Answer)
    /// The worker could not compute a unit, for this reason.
    case failure(UnitID, reason: String)
    /// The unit came without its input, and the worker does not keep its tile.
    case missing(UnitID)
    /// The tensor of a unit was damaged in transit.
    case damaged(UnitID)
    /// The state of the worker's host.
    case report(WorkerReport)
    /// The only message on a connection with an invitation's key.
    case join(JoinRequest)
    /// Requests chunks of a file of the model that the worker lacks.
    case fetch(ChunkRequest)
    case heartbeat
    case goodbye(GoodbyeReason)

    /// Why a worker cannot change to what a coordinator requires.
    package struct Obstacle: Equatable, Sendable {
        /// The `summary` of the requirements.
        package var requirements: String
        package var reason: String

        package init(requirements: String, reason: String) {
            (self.requirements, self.reason) = (requirements, reason)
        }
    }

    /// Identifies a worker.
    package struct Hello: Equatable, Sendable {
        package var version = protocolVersion
        /// The worker's version of Tessera; empty if it is another program.
        package var program = tesseraVersion
        package var name: String
        package var model: ModelIdentity
        package var threads: Int
        /// Model and vector features of the processor.
        package var processor: String
        package var backend: String
        package var precision: String
        package var processID: Int32
        /// Whether the worker stays after a refusal, and tries to change to what the coordinator requires.
        package var adapts = false
        /// The requirements that it last failed to meet, and why.
        package var obstacle: Obstacle?
        /// Where it serves its model to its neighbours; nil if it does not.
        package var share: ModelShare?
        /// Whether it can read packed tensors.
        package var packs = false
        /// The relay that it is connected through.
        package var relay: RelayMark?

        package init(
            name: String,
            model: ModelIdentity,
            threads: Int,
            processor: String,
            backend: String,
            precision: String,
            processID: Int32
        ) {
            self.name = name
            self.model = model
            self.threads = threads
            self.processor = processor
            self.backend = backend
            self.precision = precision
            self.processID = processID
        }
    }

    /// The result of a unit.
    package struct Answer: Sendable {
        package let unit: UnitID
        /// Compute time.
        package let microseconds: UInt64
        package let result: WorkResult
        /// Element type of the tensor on the wire.
        package let wire: WireFormat
        /// Whether the tensor is packed.
        package var packs = false

        package init(
            unit: UnitID,
            microseconds: UInt64,
            result: WorkResult,
            wire: WireFormat = .f32
        ) {
            (self.unit, self.microseconds) = (unit, microseconds)
            (self.result, self.wire) = (result, wire)
        }
    }
}

/// Why the sender closes the connection.
package enum GoodbyeReason: Equatable, Sendable {
    /// The sender is shutting down.
    case leaving
    /// The coordinator does not know the receiver, which must say hello again.
    case unknown
    /// The coordinator took the receiver's key off its list. Only on connections with protocol version 8.
    case removed
}

extension WorkerMessage {
    /// The frames of the message.
    package var frames: [[UInt8]] {
        var envelope = WireEnvelope()
        var tensors: [Tensor] = []
        var (wire, packs) = (WireFormat.f32, false)
        switch self {
        case .hello(let hello):
            envelope.hello = .with {
                $0.protocolVersion = hello.version
                $0.version = hello.program
                $0.name = hello.name
                $0.model = WireModelIdentity(hello.model)
                $0.threads = UInt32(hello.threads)
                $0.processor = hello.processor
                $0.backend = hello.backend
                $0.precision = hello.precision
                $0.processID = UInt64(hello.processID)
                $0.adapts = hello.adapts
                $0.obstacle = hello.obstacle?.reason ?? ""
                $0.obstacleRequirements = hello.obstacle?.requirements ?? ""
                if let share = hello.share { $0.share = share.wire }
                $0.packs = hello.packs
                if let relay = hello.relay { $0.relay = relay.wire }
            }
        case .ask(let units):
            envelope.ask = .with { $0.units = UInt32(units) }
        case .batch(let units):
            envelope.batch = .with { $0.units = UInt32(units) }
        case .wanted(let digests):
            envelope.wanted = .with { $0.digests = digests.map(\.data) }
        case .answer(let answer):
            envelope.answer = .with {
                $0.unit = answer.unit.rawValue
                $0.microseconds = answer.microseconds
                $0.statistics = answer.result.statistics.wire
            }
            tensors = answer.result.tensor.map { [$0] } ?? []
            (wire, packs) = (answer.wire, answer.packs)
        case .failure(let unit, let reason):
            envelope.failure = .with {
                $0.unit = unit.rawValue
                $0.reason = reason
            }
        case .missing(let unit):
            envelope.failure = .with {
                $0.unit = unit.rawValue
                $0.missing = true
            }
        case .damaged(let unit):
            envelope.failure = .with {
                $0.unit = unit.rawValue
                $0.damaged = true
            }
        case .report(let report):
            envelope.report = WireReport(report)
            tensors = report.load > 0 ? [Tensor(zeros: [report.load])] : []
        case .join(let request):
            envelope.join = WireJoin(request)
        case .fetch(let request):
            envelope.fetch = .with {
                $0.digest = Data(request.digest.bytes)
                $0.chunks = request.chunks.map { UInt32($0) }
                $0.addresses = request.addresses.map(\.description)
            }
        case .heartbeat:
            envelope.heartbeat = WireHeartbeat()
        case .goodbye(let reason):
            envelope.goodbye = WireGoodbye(reason)
        }
        return FrameCodec.frames(envelope, tensors, as: wire, packs: packs)
    }

    /// Reads a message from its frames.
    ///
    /// - Throws: `FrameError` if the message is not one that a worker would send
    package init(frames: [[UInt8]], limits: FrameLimits = FrameLimits()) throws(FrameError) {
        let (envelope, tensors) = try FrameCodec.parse(frames, limits: limits)
        switch envelope.body {
        case .hello(let hello):
            try tensors.expect(0)
            self = .hello(try Hello(hello))
        case .ask(let ask):
            try tensors.expect(0)
            self = .ask(Int(ask.units))
        case .batch(let batch):
            try tensors.expect(0)
            guard batch.units > 0 else { throw .field("batch.units") }
            self = .batch(Int(batch.units))
        case .wanted(let wanted):
            try tensors.expect(0)
            var digests: [EmbeddingDigest] = []
            for data in wanted.digests {
                digests.append(try EmbeddingDigest(wire: data, field: "wanted.digests"))
            }
            self = .wanted(digests)
        case .answer(let answer):
            guard tensors.count <= 1, !tensors.isEmpty || !answer.statistics.isEmpty else {
                throw .tensorCount(tensors.count)
            }
            self = .answer(
                Answer(
                    unit: UnitID(answer.unit),
                    microseconds: answer.microseconds,
                    result: WorkResult(
                        tensor: tensors.first,
                        statistics: try [Moments](wire: answer.statistics, "answer.statistics")
                    ),
                    wire: try envelope.tensors.first.map { header throws(FrameError) in
                        try WireFormat(header.elementType)
                    } ?? .f32
                )
            )
        case .failure(let failure):
            try tensors.expect(0)
            let unit = UnitID(failure.unit)
            self =
                failure.missing
                ? .missing(unit)
                : failure.damaged
                    ? .damaged(unit)
                    : .failure(unit, reason: printable(failure.reason, limit: 1000))
        case .report(let report):
            self = .report(try WorkerReport(report, tensors))
        case .join(let join):
            try tensors.expect(0)
            self = .join(try JoinRequest(join))
        case .fetch(let fetch):
            try tensors.expect(0)
            self = .fetch(try ChunkRequest(fetch))
        case .heartbeat:
            try tensors.expect(0)
            self = .heartbeat
        case .goodbye(let goodbye):
            try tensors.expect(0)
            self = .goodbye(try GoodbyeReason(goodbye))
        case .welcome, .refusal, .job, .embedding, .task, .abandon, .joined, .chunk,
            .inquiry, .admit:
            throw .wrongDirection
        case nil:
            throw .noBody
        }
    }
}

extension WorkerMessage.Hello {
    fileprivate init(_ wire: WireHello) throws(FrameError) {
        guard !wire.name.isEmpty else { throw .field("hello.name") }
        guard (1...65536).contains(wire.threads) else { throw .field("hello.threads") }
        guard let process = Int32(exactly: wire.processID) else {
            throw .field("hello.process_id")
        }
        self.init(
            name: printable(wire.name, limit: 64),
            model: try ModelIdentity(wire.model),
            threads: Int(wire.threads),
            processor: printable(wire.processor),
            backend: printable(wire.backend, limit: 32),
            precision: printable(wire.precision, limit: 32),
            processID: process
        )
        version = wire.protocolVersion
        program = printable(wire.version, limit: 32)
        adapts = wire.adapts
        if wire.hasShare { share = try ModelShare(wire.share) }
        packs = wire.packs
        if wire.hasRelay { relay = try RelayMark(wire.relay) }
        if !wire.obstacle.isEmpty {
            obstacle = WorkerMessage.Obstacle(
                requirements: printable(wire.obstacleRequirements, limit: 200),
                reason: printable(wire.obstacle, limit: 400)
            )
        }
    }
}

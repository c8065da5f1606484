import Engine
import Protocol
import Testing

/// A tensor of distinct values.
func ramp(_ shape: [Int]) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Float($0) * 0.25 - 3 }, shape: shape)
}

let digests = (
    Embedding(context: ramp([1, 2, 3])).digest,
    Embedding(context: ramp([1, 2, 3]), pooled: ramp([1, 4])).digest
)

private let hello: WorkerMessage.Hello = {
    var hello = WorkerMessage.Hello(
        name: "box-1",
        model: ModelIdentity(digest: "ab", path: "/models/one"),
        threads: 2,
        processor: "",
        backend: "onednn",
        precision: "bf16",
        processID: 7
    )
    hello.adapts = true
    hello.packs = true
    hello.obstacle = .init(requirements: "abab any f32", reason: "/models/two is not on this host")
    return hello
}()

private let packedJob: CoordinatorMessage.Job = {
    var job = CoordinatorMessage.Job(id: 6, wire: .f16)
    job.packs = true
    return job
}()

private let report: WorkerReport = {
    var report = WorkerReport()
    (report.number, report.clock, report.load) = (3, 1_700_000_000_000_000, 5)
    (report.memory, report.available, report.peak) = (1 << 34, 1 << 33, 1 << 30)
    (report.swapped, report.cacheFree, report.cache) = (0, 1 << 40, "/cache")
    report.temperature = 71.5
    return report
}()

private let key = PublicKey(bytes: (0..<32).map { UInt8($0) }) ?? { preconditionFailure() }()

private let requirements: WorkerRequirements = {
    var required = WorkerRequirements(model: ModelIdentity(digest: "ff", path: "/m"))
    required.loras = ["/l.safetensors:0.5"]
    (required.modelConfig, required.backend, required.precision) = ("/c", "onednn", "f32")
    return required
}()

/// One of each message of a worker.
let workerMessages: [WorkerMessage] = [
    .hello(
        .init(
            name: "local-1",
            model: ModelIdentity(digest: "abc123", path: "/models/vista"),
            threads: 4,
            processor: "A processor avx2 fma",
            backend: "openblas",
            precision: "f32",
            processID: 4711
        )
    ),
    .hello(hello),
    .ask(2), .batch(8),
    .wanted([digests.0, digests.1]),
    .answer(
        .init(
            unit: UnitID(1 << 40),
            microseconds: 123_456,
            result: WorkResult(tensor: ramp([1, 3, 2, 4]))
        )
    ),
    .answer(
        .init(
            unit: UnitID(8),
            microseconds: 1,
            result: WorkResult(
                tensor: nil,
                statistics: [Moments(mean: 0.1, variance: 1e-300), Moments(mean: -2, variance: 3)]
            )
        )
    ),
    .failure(UnitID(9), reason: "no weights"),
    .missing(UnitID(10)), .damaged(UnitID(11)), .report(report), .report(WorkerReport()),
    .join(JoinRequest(key: key, name: "box")),
    .heartbeat,
    .goodbye(.leaving),
]

private func task(_ id: UInt64, _ work: WorkUnit.Work, _ shape: [Int]) -> CoordinatorMessage {
    .task(.init(id: UnitID(id), job: 3, unit: WorkUnit(work, input: ramp(shape))))
}

/// One of each message of a coordinator, and of each form.
let coordinatorMessages: [CoordinatorMessage] = [
    .welcome(.init(heartbeat: .milliseconds(500), timeout: .seconds(10))),
    .refusal(.init(requirements, reason: "other weights")),
    .refusal(
        .init(.init(model: ModelIdentity(digest: "ff", path: "/m")), reason: "other version")
    ),
    .joined(JoinAnswer(.joined(name: "box-2"))), .joined(JoinAnswer(.refused("it has ended"))),
    .job(.init(id: 3)), .job(.init(id: 5, wire: .f16)), .job(packedJob),
    .embedding(digests.0, Embedding(context: ramp([1, 2, 3]))),
    .embedding(digests.1, Embedding(context: ramp([1, 2, 3]), pooled: ramp([1, 4]))),
    task(
        7,
        .predict(
            .init(
                timestep: 801.5,
                guidance: 7.5,
                conditioning: [
                    .init(embedding: digests.1, timeIDs: [1024, 1024, 0, 64, 1024, 512]),
                    .init(embedding: digests.0, timeIDs: [1024, 1024, 0, 64, 1024, 512]),
                ]
            )
        ),
        [1, 4, 5, 4]
    ),
    task(
        8,
        .autoencode(
            .decoder,
            PicturePart(
                margins: .init(top: 1, left: 0, bottom: 2, right: 3),
                statistics: [Moments(mean: 0.1, variance: 2)],
                norm: 2,
                tokens: .init(stride: 2, firstRow: 0, firstColumn: 1),
                tile: TileID(picture: 1 << 40, index: 3),
                attention: [digests.0, digests.1]
            )
        ),
        [1, 4, 5, 4]
    ),
    task(
        9,
        .predict(
            .init(timestep: 1, guidance: 1, conditioning: [.init(embedding: digests.0)])
        ),
        [1, 1, 1, 4]
    ),
    task(
        13,
        .predict(
            .init(
                timestep: 1,
                guidance: 3,
                conditioning: [
                    .init(embedding: digests.0), .init(embedding: digests.1, weight: 0.75),
                    .init(embedding: digests.0, weight: -2),
                ]
            )
        ),
        [1, 1, 1, 4]
    ),
    task(
        14,
        .predict(
            .init(
                timestep: 1,
                guidance: 3,
                conditioning: [
                    .init(embedding: digests.0, omitsPicture: true), .init(embedding: digests.1),
                ],
                pictureChannels: 5
            )
        ),
        [1, 2, 3, 9]
    ),
    task(10, .autoencode(.decoder), [1, 2, 2, 4]), task(11, .autoencode(.encoder), [1, 8, 16, 3]),
    task(
        12,
        .autoencode(.encoder, PicturePart(norm: 3, attention: [digests.1])),
        [1, 8, 8, 3]
    ),
    .abandon([UnitID(7), UnitID(8)]), .inquiry(Inquiry(number: 4, load: 3, floats: 2)),
    .heartbeat,
    .goodbye(.unknown),
]

@Suite struct MessageTests {
    @Test func everyWorkerMessageArrivesAsItWasSent() throws {
        for message in workerMessages {
            let again = try WorkerMessage(frames: message.frames)
            #expect(describe(again) == describe(message))
        }
    }

    @Test func everyCoordinatorMessageArrivesAsItWasSent() throws {
        for message in coordinatorMessages {
            let again = try CoordinatorMessage(frames: message.frames)
            #expect(describe(again) == describe(message))
        }
    }

    @Test func messagesOfTheOtherSideAreRefused() {
        for message in workerMessages where !isShared(message) {
            #expect(throws: FrameError.wrongDirection) {
                try CoordinatorMessage(frames: message.frames)
            }
        }
        for message in coordinatorMessages where !isShared(message) {
            #expect(throws: FrameError.wrongDirection) {
                try WorkerMessage(frames: message.frames)
            }
        }
    }

    /// Numbers of picture channels that leave none for the latent.
    @Test(arguments: [4, 5, 129]) func picturesOfAllChannelsAreMalformed(channels: Int) {
        let view = WorkUnit.View(
            timestep: 1,
            guidance: 1,
            conditioning: [.init(embedding: digests.0)],
            pictureChannels: channels
        )
        #expect(throws: FrameError.field("task.predict.picture_channels")) {
            try CoordinatorMessage(frames: task(1, .predict(view), [1, 2, 2, 4]).frames)
        }
    }

    /// From Python: hashlib.blake2b(b, digest_size=32) with, for each tensor, b of
    /// struct.pack("<I", rank), struct.pack("<I", extent) for each axis and the floats.
    @Test func embeddingDigestsAreBLAKE2b() {
        #expect(
            digests.0.description
                == "2109b98070948c417bf07dbb150f6e67a5fc48550a2670d27cd48266bf84cee6"
        )
        #expect(
            digests.1.description
                == "f189e2f30f79acc6a3dbae98e6bd5935e5bff100ee57a35f778f0c1471797235"
        )
    }

    /// The example of docs/protocol.md, byte for byte.
    @Test func theDocumentedExampleIsCorrect() throws {
        let frames: [[UInt8]] = [
            [0x22, 0x05, 0x08, 0x07, 0x10, 0xe8, 0x07]
                + [0xa2, 0x01, 0x0d, 0x08, 0x01, 0x12, 0x04, 0x01, 0x01, 0x02, 0x01]
                + [0x1d, 0x56, 0x26, 0x87, 0xc3] + [0xb5, 0x01, 0x6f, 0x4c, 0x12, 0x38],
            [0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0],
        ]
        let tensor = Tensor([1, -2], shape: [1, 1, 2, 1])
        let answer = WorkerMessage.answer(
            .init(unit: UnitID(7), microseconds: 1000, result: WorkResult(tensor: tensor))
        )
        #expect(answer.frames == frames)
        #expect(describe(try WorkerMessage(frames: frames)) == describe(answer))
        // As version 7 sends it: without checksums.
        let before: [UInt8] =
            [0x22, 0x05, 0x08, 0x07, 0x10, 0xe8, 0x07]
            + [0xa2, 0x01, 0x08, 0x08, 0x01, 0x12, 0x04, 0x01, 0x01, 0x02, 0x01]
        #expect(describe(try WorkerMessage(frames: [before, frames[1]])) == describe(answer))
    }

    /// Any flipped bit of a message with a tensor is found, except in the four bytes of tags that mark it as version 8.
    @Test func everyFlippedBitIsFound() throws {
        let answer = WorkerMessage.answer(
            .init(unit: UnitID(7), microseconds: 1, result: WorkResult(tensor: ramp([1, 2, 2, 4])))
        )
        let frames = answer.frames
        for bit in 0..<(8 * frames[1].count) {
            var damaged = frames
            damaged[1][bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FrameError.damaged(UnitID(7))) { try WorkerMessage(frames: damaged) }
        }
        let tag = frames[0].count - 6
        for bit in 0..<(8 * frames[0].count) where !(tag..<(tag + 2)).contains(bit / 8) {
            var damaged = frames
            damaged[0][bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FrameError.damaged(nil)) { try WorkerMessage(frames: damaged) }
        }
    }

    @Test func inquiriesAreBounded() throws {
        let largest = Inquiry(number: 1, floats: Inquiry.maxFloats)
        let again = try CoordinatorMessage(frames: CoordinatorMessage.inquiry(largest).frames)
        #expect(describe(again) == describe(.inquiry(largest)))
        let larger = Inquiry(number: 1, floats: Inquiry.maxFloats + 1)
        #expect(throws: FrameError.field("inquiry.floats")) {
            try CoordinatorMessage(frames: CoordinatorMessage.inquiry(larger).frames)
        }
    }

    /// Half precision has eleven significant bits: these values arrive unchanged, in half the bytes.
    @Test func halvesTravelInTwoBytes() throws {
        let values: [Float] = [0, -1, 0.25, 65_504, 1 / 16_777_216, -0.000_061_035_156]
        let tensor = Tensor(values, shape: [1, 1, 2, 3])
        let answer = WorkerMessage.answer(
            .init(
                unit: UnitID(7),
                microseconds: 5,
                result: WorkResult(tensor: tensor),
                wire: .f16
            )
        )
        #expect(answer.frames[1].count == 12)
        guard case .answer(let again) = try WorkerMessage(frames: answer.frames) else {
            Issue.record("no answer")
            return
        }
        #expect(again.result.tensor?.values == values && again.wire == .f16)
        var short = answer.frames
        short[1].removeLast()
        #expect(throws: FrameError.tensorSize(bytes: 11, shape: [1, 1, 2, 3])) {
            try WorkerMessage(frames: short)
        }
    }

    /// From Python: struct.pack("<e", x) rounds to nearest, ties to even.
    @Test(
        arguments: [
            (1.000_488_281_25, 0x3C00), (1.001_464_843_75, 0x3C02), (65_519, 0x7BFF),
            (65_520, 0x7C00), (1e9, 0x7C00), (-.infinity, 0xFC00), (1e-8, 0), (3e-8, 1),
            (8.940_697e-8, 2), (-6.097_555e-5, 0x83FF), (0.1, 0x2E66), (-0.0, 0x8000),
        ] as [(Float, UInt16)]
    )
    func floatsAreRoundedToHalves(value: Float, half: UInt16) {
        let bytes = Tensor([value], shape: [1]).halves
        #expect(UInt16(bytes[0]) | UInt16(bytes[1]) << 8 == half)
    }

    @Test func noHalfIsChangedByRounding() {
        let bytes = (0..<UInt16(0x7C00)).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        #expect(Tensor(halves: bytes, shape: [0x7C00]).halves == bytes)
        #expect(!Tensor(halves: Tensor([.nan], shape: [1]).halves, shape: [1]).isFinite)
    }

    @Test(arguments: [
        ("plain", "plain"), ("two\nlines\u{1b}[31m", "two·lines·[31m"), ("sep\u{2028}x", "sep·x"),
        (String(repeating: "x", count: 300), String(repeating: "x", count: 200)),
    ])
    func foreignTextIsMadeHarmless(text: String, expected: String) {
        #expect(printable(text) == expected)
    }

    @Test(arguments: [
        ([Float](repeating: 1, count: 19), true), ([], true), ([.nan], false),
        ([Float](repeating: 1, count: 16) + [.infinity], false),
        ([1, 2, 3, -.infinity] + [Float](repeating: 1, count: 16), false),
        ([Float](repeating: 3e38, count: 64), true),
    ])
    func nonFiniteValuesAreFound(values: [Float], finite: Bool) {
        #expect(Tensor(values, shape: [values.count]).isFinite == finite)
    }
}

/// Everything in a message, tensors by shape and values.
func describe(_ message: WorkerMessage) -> String {
    guard case .answer(let answer) = message else { return "\(message)" }
    let tensor = answer.result.tensor.map { describe($0) } ?? "nothing"
    return "\(answer.unit) \(answer.microseconds) \(tensor) \(answer.result.statistics)"
}

func describe(_ message: CoordinatorMessage) -> String {
    switch message {
    case .embedding(let digest, let value):
        return "\(digest) \(describe(value.context)) \(value.pooled.map { describe($0) } ?? "")"
    case .task(let task):
        return "\(task.id) \(task.job) \(task.unit.work) \(describe(task.unit.input))"
    default:
        return "\(message)"
    }
}

func describe(_ tensor: Tensor) -> String { "\(tensor.shape) \(tensor.values)" }

func isShared(_ message: WorkerMessage) -> Bool {
    switch message {
    case .heartbeat, .goodbye: true
    default: false
    }
}

func isShared(_ message: CoordinatorMessage) -> Bool {
    switch message {
    case .heartbeat, .goodbye: true
    default: false
    }
}

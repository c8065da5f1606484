import Engine
import Protocol
import TestSupport
import Testing

@Suite struct FrameTests {
    private let limits: FrameLimits = {
        var limits = FrameLimits()
        limits.tensor = 4096
        return limits
    }()

    /// A hand-made envelope: field 4 is `answer`, 20 the tensor headers.
    private func envelope(_ headers: [[UInt8]]) -> [UInt8] {
        // 0xa2 0x01: field 20, length-delimited.
        [0x22, 0x00] + headers.flatMap { [0xa2, 0x01, UInt8($0.count)] + $0 }
    }

    /// A hand-made header: element type, then the packed shape.
    private func header(type: UInt8 = 1, _ shape: [UInt8]) -> [UInt8] {
        [0x08, type, 0x12, UInt8(shape.count)] + shape
    }

    @Test func badFramesAreNamed() {
        let four: [UInt8] = [0, 0, 128, 63]
        // Shape [2³², 2³²-ish]: each extent is 2³² − 1 as a varint of five bytes.
        let huge = [UInt8](repeating: 0, count: 0) + [255, 255, 255, 255, 15]
        let cases: [([[UInt8]], FrameError)] = [
            ([], .frameCount(0)),
            ([[UInt8]](repeating: [], count: 6), .frameCount(6)),
            ([[UInt8](repeating: 0, count: 70_000)], .envelopeSize(70_000)),
            ([[0xff, 0xff]], .notProtobuf),
            ([[]], .noBody),
            ([envelope([header([1])])], .tensorCount(1)),
            ([envelope([]), four], .tensorCount(0)),
            ([envelope([header(type: 0, [1])]), four], .elementType(0)),
            ([envelope([header(type: 9, [1])]), four], .elementType(9)),
            ([envelope([header([])]), four], .shape([])),
            ([envelope([header([1, 1, 1, 1, 1])]), four], .shape([1, 1, 1, 1, 1])),
            ([envelope([header([1, 0])]), []], .shape([1, 0])),
            ([envelope([header([64, 17])]), four], .shape([64, 17])),
            (
                [envelope([header(huge + huge + huge)]), four],
                .shape([.max, .max, .max])
            ),
            ([envelope([header([2])]), four], .tensorSize(bytes: 4, shape: [2])),
        ]
        for (frames, error) in cases {
            #expect(throws: error) { try WorkerMessage(frames: frames, limits: limits) }
        }
    }

    @Test func fieldsOutOfRangeAreNamed() {
        var hello = WorkerMessage.Hello(
            name: "",
            model: ModelIdentity(digest: "a", path: ""),
            threads: 1,
            processor: "",
            backend: "",
            precision: "",
            processID: 1
        )
        #expect(throws: FrameError.field("hello.name")) {
            try WorkerMessage(frames: WorkerMessage.hello(hello).frames)
        }
        hello.name = "x"
        hello.threads = 0
        #expect(throws: FrameError.field("hello.threads")) {
            try WorkerMessage(frames: WorkerMessage.hello(hello).frames)
        }
        hello.threads = 1
        hello.model = ModelIdentity(digest: "", path: "")
        #expect(throws: FrameError.field("model.digest")) {
            try WorkerMessage(frames: WorkerMessage.hello(hello).frames)
        }
        for timestep in [Float.nan, .infinity] {
            let task = view(.init(embedding: digests.0), timestep: timestep)
            #expect(throws: FrameError.field("task.predict")) {
                try CoordinatorMessage(frames: task.frames)
            }
        }
        for ids: [Float] in [[1], [1, 2, 3, 4, 5, .nan]] {
            let task = view(.init(embedding: digests.0, timeIDs: ids))
            #expect(throws: FrameError.field("conditioning.time_ids")) {
                try CoordinatorMessage(frames: task.frames)
            }
        }
        for weight in [Float.nan, .infinity] {
            let task = view(.init(embedding: digests.0, weight: weight))
            #expect(throws: FrameError.field("conditioning.weight")) {
                try CoordinatorMessage(frames: task.frames)
            }
        }
    }

    private func view(
        _ conditioning: WorkUnit.Conditioning,
        timestep: Float = 1
    ) -> CoordinatorMessage {
        let work = WorkUnit.Work.predict(
            .init(timestep: timestep, guidance: 1, conditioning: [conditioning])
        )
        let unit = WorkUnit(work, input: ramp([1, 1, 1, 1]))
        return .task(.init(id: UnitID(1), job: 1, unit: unit))
    }

    /// Every message, mutated thousands of times: read or refused, and nothing else happens.
    @Test func mutatedFramesAreHarmless() {
        var random = SplitMix(20_260_719)
        let sealed = workerMessages.map(\.frames) + coordinatorMessages.map(\.frames)
        // Without the envelope's checksum, as in the previous version, more of a damaged message is read.
        let originals = sealed.map { [Array($0[0].dropLast(6))] + $0.dropFirst() }
        var (read, refused) = (0, 0)
        for _ in 0..<25_000 {
            var frames = originals[Int.random(in: originals.indices, using: &random)]
            for _ in 0...Int.random(in: 0...3, using: &random) { mutate(&frames, &random) }
            for attempt in [
                { _ = try WorkerMessage(frames: frames, limits: limits) },
                { _ = try CoordinatorMessage(frames: frames, limits: limits) },
            ] {
                do {
                    try attempt()
                    read += 1
                } catch {
                    #expect(error is FrameError)
                    refused += 1
                }
            }
        }
        // Both must happen often, or the mutations test nothing.
        #expect(read > 1000 && refused > 10_000, "\(read) read, \(refused) refused")
    }

    private func mutate(_ frames: inout [[UInt8]], _ random: inout SplitMix) {
        guard !frames.isEmpty else { return frames.append([1, 2, 3]) }
        let i = Int.random(in: frames.indices, using: &random)
        let place = Int.random(in: 0...frames[i].count, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: frames.remove(at: i)
        case 1: frames.insert(frames[i], at: i)
        case 2: frames[i].removeLast(frames[i].count - place)
        case 3: frames[i].insert(UInt8.random(in: 0...255, using: &random), at: place)
        case 4 where place < frames[i].count: frames[i].remove(at: place)
        default:
            guard place < frames[i].count else { break }
            frames[i][place] = UInt8.random(in: 0...255, using: &random)
        }
    }
}

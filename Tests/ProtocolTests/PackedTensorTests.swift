import Engine
import Protocol
import TestSupport
import Testing

@Suite struct PackedTensorTests {
    /// Approximately normally distributed: the sum of twelve uniform numbers.
    private func noise(_ count: Int, seed: UInt64 = 1) -> [Float] {
        var random = SplitMix(seed)
        return (0..<count).map { _ in
            (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) }
        }
    }

    /// Like answers from a network that computes in bfloat16.
    private func rounded(_ values: [Float]) -> [Float] {
        values.map { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) }
    }

    private func bytes(_ values: [Float], _ format: WireFormat) -> [UInt8] {
        let tensor = Tensor(values, shape: [values.count])
        return format == .f16
            ? tensor.halves : tensor.withFloats { Array(UnsafeRawBufferPointer($0)) }
    }

    /// Normally distributed noise has 13.5 bits of entropy in 16, and 26.5 in 32; rounded to bfloat16, 10.5.
    @Test(
        arguments: [(.f16, 0.86), (.f32, 0.84)] as [(WireFormat, Double)],
        [200, 4096, 65_536]
    )
    func noiseComesBackInFewerBytes(form: (WireFormat, Double), count: Int) throws {
        let (format, share) = form
        let values = noise(count)
        for (values, share) in [(values, share), (rounded(values), format == .f16 ? 0.69 : 0.45)] {
            let plain = bytes(values, format)
            guard plain.count >= PackedTensor.smallest else {
                #expect(PackedTensor.pack(plain, size: format.size) == nil)
                continue
            }
            let packed = try #require(PackedTensor.pack(plain, size: format.size))
            // Short frames have the overhead of their code tables.
            let codes = 100 * format.size
            #expect(Double(packed.count) < share * Double(plain.count) + Double(codes))
            let again = try PackedTensor.unpack(packed, count: count, size: format.size)
            #expect(again == plain)
        }
    }

    @Test func whatHasNoOrderIsNotPacked() {
        var random = SplitMix(3)
        let plain = (0..<8192).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(PackedTensor.pack(plain, size: 2) == nil)
        #expect(PackedTensor.pack(plain, size: 4) == nil)
    }

    /// Every special number, and tensors of one repeated number, whose codes have one bit.
    @Test func allNumbersComeBack() throws {
        let patterns: [UInt32] = [0, 0x8000_0000, 0x7F80_0000, 0x7FC0_0001, 1, 0x3F80_0000]
        let mixed = (0..<3000).map { Float(bitPattern: patterns[$0 % patterns.count]) }
        let (zeros, ones) = ([Float](repeating: 0, count: 3000), [Float](repeating: 1, count: 4097))
        for values in [mixed, zeros, ones] {
            for format in WireFormat.allCases {
                let plain = bytes(values, format)
                let packed = try #require(PackedTensor.pack(plain, size: format.size))
                #expect(packed.count * PackedTensor.largestGain >= plain.count)
                #expect(
                    try PackedTensor.unpack(packed, count: values.count, size: format.size)
                        == plain
                )
            }
        }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let plain = bytes(noise(2048), .f16)
        let packed = try #require(PackedTensor.pack(plain, size: 2))
        func refused(_ bytes: [UInt8], count: Int) {
            #expect(throws: FrameError.packing) {
                try PackedTensor.unpack(bytes, count: count, size: 2)
            }
        }
        refused(packed, count: 2047)
        refused(packed, count: 2049)
        refused(packed + [0], count: 2048)
        refused(Array(packed.dropLast()), count: 2048)
        refused([], count: 2048)
        refused([UInt8](repeating: 0xFF, count: 1000), count: 2048)
        // More than eight bytes of output for each packed byte.
        refused(packed, count: packed.count * PackedTensor.largestGain / 2 + 1)
        for cut in stride(from: 0, to: packed.count, by: 97) {
            refused(Array(packed.prefix(cut)), count: 2048)
        }
    }

    private func answer(packs: Bool, _ wire: WireFormat) -> WorkerMessage {
        var answer = WorkerMessage.Answer(
            unit: UnitID(7),
            microseconds: 1,
            result: WorkResult(tensor: Tensor(noise(1024), shape: [1, 16, 16, 4])),
            wire: wire
        )
        answer.packs = packs
        return .answer(answer)
    }

    @Test(arguments: WireFormat.allCases)
    func packedMessagesArriveAsTheyWereSent(wire: WireFormat) throws {
        let (plain, packed) = (answer(packs: false, wire), answer(packs: true, wire))
        #expect(packed.frames[1].count < plain.frames[1].count)
        let again = try WorkerMessage(frames: packed.frames)
        #expect(describe(again) == describe(try WorkerMessage(frames: plain.frames)))
        var task = CoordinatorMessage.Task(
            id: UnitID(3),
            job: 1,
            unit: WorkUnit(
                .autoencode(.decoder, nil),
                input: Tensor(noise(1024), shape: [1, 16, 16, 4])
            ),
            wire: wire
        )
        let frames = CoordinatorMessage.task(task).frames
        task.packs = true
        let fewer = CoordinatorMessage.task(task).frames
        #expect(fewer[1].count < frames[1].count)
        #expect(
            try describe(CoordinatorMessage(frames: fewer))
                == describe(CoordinatorMessage(frames: frames))
        )
    }

    /// A bit that flips on the way is damage by the link, not a worker that sends nonsense.
    @Test func damageIsToldFromNonsense() throws {
        let frames = answer(packs: true, .f16).frames
        for bit in stride(from: 0, to: 8 * frames[1].count, by: 61) {
            var damaged = frames
            damaged[1][bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FrameError.damaged(UnitID(7))) { try WorkerMessage(frames: damaged) }
        }
        // A header that claims packing for a tensor that is not packed; its checksum is right.
        let plain = answer(packs: false, .f16).frames
        let head = plain[0].dropLast(6)
        var lying = Array(head)
        // Field 20 is the last one; its length grows by the two bytes of `packed`.
        let header = try #require(lying.lastRange(of: [0xa2, 0x01]))
        lying[header.upperBound] += 2
        lying += [0x20, 0x01]
        #expect(throws: FrameError.packing) { try WorkerMessage(frames: [lying, plain[1]]) }
    }
}

extension Array where Element == UInt8 {
    fileprivate func lastRange(of pattern: [UInt8]) -> Range<Int>? {
        indices.reversed().first { self[$0...].starts(with: pattern) }.map {
            $0..<$0 + pattern.count
        }
    }
}

import Engine
import Foundation
import TestSupport
import Testing

@Suite struct RandomTests {
    /// `torch.randn` with the seeds and shapes in the fixture's tensor names: bit-identical where PyTorch draws in
    /// blocks of 16.
    @Test func drawsWhatTorchDraws() throws {
        let file = try SafeTensors(file: "\(Fixtures.folder)/expected/torch_randn.safetensors")
        #expect(!file.names.isEmpty)
        for name in file.names {
            let seed = try #require(UInt64(name.prefix { $0 != "." }))
            let expected = try file.tensor(name)
            let found = TorchRandom.normal(seed: seed, count: expected.count)
            let worst = zip(found, expected.values).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst <= (expected.count < 16 ? Tolerance.normal : 0), "\(name)")
        }
    }

    /// `torch.manual_seed(0); torch.randn(12, device="cuda")`, as commonly published.
    @Test func drawsWhatCUDADraws() {
        let published: [Float] = [
            -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564,
            -0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
        ]
        let found = Philox.normal(seed: 0, count: published.count)
        for (a, b) in zip(found, published) { #expect(abs(a - b) <= Tolerance.normal) }
    }

    /// Known answers of Random123's kat_vectors for philox4x32-10.
    @Test func philoxMatchesItsTestVectors() {
        let ones = UInt32.max
        #expect(
            Philox.words(counter: [0, 0, 0, 0], key: [0, 0])
                == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]
        )
        #expect(
            Philox.words(counter: [ones, ones, ones, ones], key: [ones, ones])
                == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]
        )
        #expect(
            Philox.words(
                counter: [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
                key: [0xA409_3822, 0x299F_31D0]
            )
                == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        )
    }

    @Test(arguments: RandomKind.allCases) func normalNumbersAreNormal(kind: RandomKind) {
        let random = RenderRandom(kind, seed: 11)
        let draw = random.normal(purpose: "diffusion", phase: 2, step: 0, shape: [1, 4, 64, 64])
        let (mean, deviation) = draw.meanAndDeviation()
        #expect(abs(mean) < 0.03)
        #expect(abs(deviation - 1) < 0.03)
    }

    @Test(arguments: RandomKind.allCases) func everyDrawHasItsOwnNumbers(kind: RandomKind) {
        let shape = [1, 4, 4, 4]
        let keys = [
            (1, "base", 0, 0), (2, "base", 0, 0), (1, "step", 0, 0), (1, "step", 1, 0),
            (1, "step", 0, 1), (1, "diffusion", 0, 0),
        ]
        let draws = keys.map { seed, purpose, phase, step in
            RenderRandom(kind, seed: UInt64(seed)).normal(
                purpose: purpose,
                phase: phase,
                step: step,
                shape: shape
            ).values
        }
        for i in draws.indices {
            for j in 0..<i { #expect(draws[i] != draws[j], "\(keys[i]) and \(keys[j])") }
        }
    }

    @Test func baseNoiseDependsOnTheSeed() {
        let drawn = RenderRandom(.torch, seed: 42).normal(
            purpose: "base",
            phase: 0,
            step: 0,
            shape: [1, 4, 8, 8]
        )
        #expect(drawn.channelsFirst().values == TorchRandom.normal(seed: 42, count: 256))
    }

    @Test func integersCoverTheirRangeEvenly() {
        let random = RenderRandom(.torch, seed: 5)
        let draws = random.integers(
            purpose: "jitter",
            phase: 2,
            step: 7,
            count: 9000,
            in: -4...4
        )
        let counts = Dictionary(grouping: draws) { $0 }.mapValues(\.count)
        #expect(counts.keys.sorted() == Array(-4...4))
        #expect(counts.values.allSatisfy { (850...1150).contains($0) })
        let again = random.integers(purpose: "jitter", phase: 2, step: 7, count: 9000, in: -4...4)
        #expect(again == draws)
    }
}

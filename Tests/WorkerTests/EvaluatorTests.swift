import Coordinator
import Engine
import FakeModel
import Protocol
import Sampling
import Testing
import Worker

private func prompt(_ value: Float, pooled: Float? = nil) -> Embedding {
    Embedding(
        context: Tensor([value, value, value, value], shape: [1, 2, 2]),
        pooled: pooled.map { Tensor([$0], shape: [1, 1]) }
    )
}

/// Guidance, batches and checks, on a model that returns sums of its inputs.
@Suite struct EvaluatorTests {
    private let latent = Tensor([2, 4, 6, 8], shape: [1, 1, 1, 4])

    private func view(
        _ prompts: Prompts,
        timestep: Float = 0,
        guidance: Float = 2,
        timeIDs: TimeIDs? = nil
    ) -> WorkUnit {
        .view(
            0,
            latent,
            timestep: timestep,
            guidance: guidance,
            prompts: prompts,
            timeIDs: timeIDs
        )
    }

    /// The fake predicts latent/2 + mean context + pooled + Σ ids/1024 + timestep/1000.
    @Test func guidanceIsCombinedFromOneBatchOfTwo() throws {
        let host = FakeNetworks()
        let unit = view(
            Prompts(positive: prompt(10, pooled: 0.5), negative: prompt(1, pooled: 0.25)),
            timestep: 500,
            guidance: 3,
            timeIDs: [1024, 0, 0, 0, 0, 512]
        )
        let result = try Evaluator(host).evaluate([unit])[0].wholeTensor
        let uncond: Float = 1 + 0.25 + 1.5 + 0.5
        let text: Float = 10 + 0.5 + 1.5 + 0.5
        #expect(result.shape == latent.shape)
        #expect(
            result.values
                == latent.values.map { x in
                    (x / 2 + uncond) + 3 * ((x / 2 + text) - (x / 2 + uncond))
                }
        )
        #expect(host.unitCount == 1 && host.rowCount == 2)
    }

    /// Prompts joined by AND: each adds its weighted difference from the negative prompt, whatever the guidance.
    @Test func joinedPromptsAreCombined() throws {
        let parts = [(prompt(10), Float(0.5)), (prompt(4), -2), (prompt(6), 1)]
        let joined = Prompts(parts: parts.map { .init($0, weight: $1) }, negative: prompt(1))
        let evaluator = Evaluator(FakeNetworks())
        for (guidance, used) in [(Float(3), Float(3)), (0.5, 1)] {
            let unit = view(joined.unguided, guidance: guidance)
            let result = try evaluator.evaluate([unit])[0].wholeTensor.values
            let expected = latent.values.map { x in
                [10, 4, 6].enumerated().reduce(x / 2 + 1) { sum, part in
                    sum + used * parts[part.offset].1 * ((x / 2 + part.element) - (x / 2 + 1))
                }
            }
            #expect(result == expected)
            let shares = try #require(unit.halves)
            #expect(shares.count == 4)
            let other = unit.joined(try evaluator.evaluate(shares)).wholeTensor.values
            #expect(other == result)
        }
        #expect(evaluator.evaluations == 16)
        // A single prompt with a weight needs the negative prompt, too.
        let alone = Prompts(parts: [.init(prompt(10), weight: 0.5)], negative: prompt(1))
        #expect(alone.areJoined && alone.unguided.negative != nil)
    }

    @Test func withoutANegativeThereIsOneEvaluation() throws {
        let host = FakeNetworks()
        let unit = view(Prompts(positive: prompt(10), negative: nil), guidance: 1)
        let result = try Evaluator(host).evaluate([unit])[0].wholeTensor
        #expect(result.values == [11, 12, 13, 14])
        #expect(host.rowCount == 1)
    }

    /// A batch of the fake model has two rows: units share it only if they are compatible.
    @Test func compatibleUnitsShareABatch() throws {
        let (host, plain) = (FakeNetworks(), Prompts(positive: prompt(10), negative: nil))
        let units = [
            view(plain), view(Prompts(positive: prompt(3), negative: nil)), view(plain),
            view(plain, timestep: 7), view(Prompts(positive: prompt(1), negative: prompt(2))),
        ]
        let evaluator = Evaluator(host)
        let together = try evaluator.evaluate(units).map(\.wholeTensor.values)
        #expect(host.unitCount == 4 && host.rowCount == 6 && evaluator.evaluations == 6)
        #expect(together == (try units.map { try evaluator.evaluate([$0])[0].wholeTensor.values }))
    }

    @Test func aGuidedViewIsItsHalves() throws {
        let evaluator = Evaluator(FakeNetworks())
        let whole = view(Prompts(positive: prompt(10), negative: prompt(1)), guidance: 3)
        let halves = try #require(whole.halves)
        #expect(halves.allSatisfy { $0.halves == nil } && halves.count == 2)
        let joined = whole.joined(try evaluator.evaluate(halves)).wholeTensor.values
        #expect(joined == (try evaluator.evaluate([whole])[0].wholeTensor.values))
    }

    @Test func incompatiblePromptsAreRejected() {
        let long = Embedding(context: Tensor(zeros: [1, 3, 2]))
        let unit = view(Prompts(positive: prompt(10), negative: long))
        #expect(throws: InputError.self) { try Evaluator(FakeNetworks()).evaluate([unit]) }
        var missing = view(Prompts(positive: prompt(10), negative: nil))
        missing.embeddings = [:]
        #expect(throws: InputError.self) { try Evaluator(FakeNetworks()).evaluate([missing]) }
    }

    @Test func processorsAreDescribedByNameAndFeatures() {
        let text = """
            processor\t: 0
            model name\t: Some CPU @ 2.00GHz
            flags\t\t: fpu sse avx2 fma xsave
            """
        #expect(Processor.describe(cpuinfo: text) == "Some CPU @ 2.00GHz avx2 fma")
        #expect(Processor.describe(cpuinfo: "") == "unknown processor")
    }
}

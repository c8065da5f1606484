import Engine
import FakeModel
import Protocol
import Testing
import Worker

/// Answers with what it was given, one row per prompt.
private func run(
    _ work: CoordinatorMessage.Work,
    latent: Tensor,
    _ prompts: Assignment.Prompts?,
    host: FakeModelHost = FakeModelHost()
) throws -> Tensor {
    let task = CoordinatorMessage.Task(unit: UnitID(1), job: 1, work: work, input: latent)
    let result = try UnitRunner(host: host).run(Assignment(task: task, prompts: prompts))
    return try #require(result.tensor)
}

private func prompt(_ value: Float, pooled: Float? = nil) -> PromptTensors {
    PromptTensors(
        context: Tensor([value, value, value, value], shape: [1, 2, 2]),
        pooled: pooled.map { Tensor([$0], shape: [1, 1]) }
    )
}

@Suite struct UnitRunnerTests {
    private let latent = Tensor([2, 4, 6, 8], shape: [1, 1, 1, 4])

    /// The fake predicts latent/2 + mean context + pooled + Σ ids/1024 + timestep/1000.
    @Test func guidanceIsCombinedFromOneBatchOfTwo() throws {
        let host = FakeModelHost()
        let result = try run(
            .predict(.init(timestep: 500, guidance: 3, timeIDs: [1024, 0, 0, 0, 0, 512])),
            latent: latent,
            .init(positive: prompt(10, pooled: 0.5), negative: prompt(1, pooled: 0.25)),
            host: host
        )
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

    @Test func withoutANegativeThereIsOneEvaluation() throws {
        let host = FakeModelHost()
        let result = try run(
            .predict(.init(timestep: 0, guidance: 1, timeIDs: nil)),
            latent: latent,
            .init(positive: prompt(10), negative: nil),
            host: host
        )
        #expect(result.values == [11, 12, 13, 14])
        #expect(host.rowCount == 1)
    }

    @Test func promptsThatDoNotFitEachOtherAreRefused() {
        let long = PromptTensors(context: Tensor(zeros: [1, 3, 2]), pooled: nil)
        #expect(throws: InputError.self) {
            try run(
                .predict(.init(timestep: 0, guidance: 2, timeIDs: nil)),
                latent: latent,
                .init(positive: prompt(10), negative: long)
            )
        }
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

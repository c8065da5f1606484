import Coordinator
import DirectRendering
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// Decodes to zeros.
private struct Blank: UnitByUnit {
    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        let (height, width) = (unit.input.shape[1], unit.input.shape[2])
        return WorkResult(tensor: Tensor(zeros: [1, 8 * height, 8 * width, 3]))
    }
}

private struct Nowhere: PictureSink {
    mutating func write(_ rows: Tensor) {}
}

/// What an observer is told about decoding, and what the list of jobs says about it.
@Suite struct DecodingEventTests {
    private func plan(side: Int) throws -> (RenderPlan, Scheduler) {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(.ddim, config: config, steps: 2)
        let model = ModelGeometry(
            nativeLatentSide: 130,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: false
        )
        let settings = RenderSettings(
            size: Extent(height: side, width: side),
            steps: 2,
            scheduler: .ddim
        )
        return (try RenderPlan(settings, model: model, scheduler: scheduler), scheduler)
    }

    /// Decoding is announced before anything is measured for it, and its last pass is announced, too.
    @Test func decodingIsAnnouncedFirst() throws {
        let (plan, scheduler) = try plan(side: 1040)
        let prompt = Embedding(context: Tensor(zeros: [1, 1, 1]))
        let sampler = Sampler(
            plan: plan,
            scheduler: scheduler,
            prompts: Prompts(positive: prompt, negative: prompt)
        )
        var events: [String] = []
        let loop = RenderLoop(sampler: sampler, renderer: Blank()) { events.append("\($0)") }
        var sink = Nowhere()
        try loop.decode(Tensor(zeros: [1, 130, 130, 4]), to: &sink)
        let tiles = Array(repeating: "tile", count: 4)
        #expect(events == ["decoding(tiles: 4)", "finalPass(tiles: 4)"] + tiles)
    }

    /// After the last phase only decoding remains, so the phase shown never exceeds the number of phases.
    @Test func aJobThatIsDecodingIsListedSo() throws {
        try inTemporaryFolder { folder in
            for (name, phase) in [("decodes", 2), ("samples", 1)] {
                let job = "\(folder)/\(name)"
                try FileManager.default.createDirectory(
                    atPath: job,
                    withIntermediateDirectories: true
                )
                try """
                {"format": 1, "command": "render", "arguments": [], "directory": "/",
                 "model-digest": "x", "settings": "{\\"size\\": \\"64x64\\"}"}
                """.write(toFile: "\(job)/job.json", atomically: true, encoding: .utf8)
                var state = SamplerState(latent: Tensor(zeros: [1, 2, 2, 4]))
                (state.phase, state.step) = (phase, phase == 2 ? 4 : 3)
                try Checkpoint(state: state, drawn: 0, finished: [], steps: 4, phases: 2)
                    .write(to: "\(job)/state.safetensors", job: "x")
            }
            let jobs = SavedJob.all(in: folder).sorted { $0.name < $1.name }
            #expect(jobs.map(\.isDecoding) == [true, false])
            #expect(jobs.map(\.phase) == [2, 2])
            let lines = SavedJob.lines(jobs, now: 0)
            #expect(lines.count == 3 && lines[1].contains(" decoding"), "\(lines)")
            #expect(!lines[1].contains("phase") && lines[2].contains("phase 2/2, step 3/4"))
        }
    }
}

import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing

/// Predicts without workers, by simple arithmetic on all of its inputs.
private final class Arithmetic: UnitByUnit {
    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        guard case .predict(let view) = unit.work else {
            return WorkResult(tensor: Self.enlarged(unit))
        }
        let shift = view.timestep / 1000 + Float(place) / 64
        return WorkResult(tensor: unit.input.map { ($0 * 0.7 + shift) / (1 + abs($0)) })
    }
}

extension Arithmetic {
    /// Encodes by taking every 8th pixel, or decodes by repeating every latent pixel 8 × 8 times; all channels derive
    /// from the first.
    private static func enlarged(_ unit: WorkUnit) -> Tensor {
        let isDecoding = unit.work == .autoencode(.decoder)
        let (height, width, count) = (unit.input.shape[1], unit.input.shape[2], unit.input.shape[3])
        let (rows, columns, channels) =
            isDecoding ? (8 * height, 8 * width, 3) : (height / 8, width / 8, 4)
        return Tensor(shape: [1, rows, columns, channels]) { out in
            unit.input.withFloats { x in
                for i in out.indices {
                    let (pixel, channel) = (i / channels, i % channels)
                    let (row, column) = (pixel / columns, pixel % columns)
                    let (y, c) = isDecoding ? (row / 8, column / 8) : (row * 8, column * 8)
                    out[i] = x[(y * width + c) * count] / Float(1 + channel)
                }
            }
        }
    }
}

@Suite struct CheckpointTests {
    private struct Case {
        let plan: RenderPlan
        let sampler: Sampler
        let seed: SeededNoise
    }

    private func makeCase(
        _ kind: SchedulerKind,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> Case {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(kind, config: config, steps: 4)
        var settings = RenderSettings(
            size: Extent(height: 128, width: 160),
            steps: 4,
            scheduler: kind
        ) { $0.globalPass = .workers }
        change(&settings)
        let plan = try RenderPlan(
            settings,
            model: ModelGeometry(
                nativeLatentSide: 8,
                vaeFactor: 8,
                latentChannels: 4,
                usesTimeIDs: false
            ),
            scheduler: scheduler
        )
        return Case(
            plan: plan,
            sampler: Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts()),
            seed: SeededNoise(seed: 5, kind: .torch)
        )
    }

    private func sample(
        _ render: Case,
        _ noise: some NoiseSource,
        from start: Checkpoint? = nil,
        reached: (Checkpoint) -> Void = { _ in }
    ) throws -> [Float] {
        var noise = noise
        var finished = start?.finished ?? []
        let job = RenderLoop(sampler: render.sampler, renderer: Arithmetic()) { event in
            if case .finished(_, let latent) = event { finished.append(latent) }
        }
        return try job.sample(noise: &noise, from: start?.state) { state, drawn in
            reached(Checkpoint(state: state, drawn: drawn, finished: finished))
        }.values
    }

    /// Saved after every step, loaded and continued: every bit is the same.
    @Test(arguments: SchedulerKind.allCases) func anyStepCanBeResumed(kind: SchedulerKind) throws {
        try resumeEveryStep(try makeCase(kind))
    }

    /// The same for every way to place, weight and skip views.
    @Test func anyMethodCanBeResumed() throws {
        try resumeEveryStep(try makeCase(.ddim) { $0.windowWeight = .gaussian })
        try resumeEveryStep(
            try makeCase(.dpmSolver) { settings in
                (settings.stride, settings.ladder) = (.window, .cheapest)
                settings.skipBelow = 0.3
            }
        )
        try resumeEveryStep(try makeCase(.dpmSolver) { $0.upscaleMode = .image })
    }

    /// Refinement can be resumed between its steps, and before and after a picture is enlarged.
    @Test(arguments: SchedulerKind.allCases) func anyStageCanBeResumed(kind: SchedulerKind) throws {
        try resumeEveryStep(
            try makeCase(kind) { settings in
                settings.refinement = RefineSettings(steps: 3)
                settings.windowWeight = .gaussian
            }
        )
    }

    private func resumeEveryStep(_ render: Case) throws {
        try inTemporaryFolder { folder in
            var paths: [String] = []
            let whole = try sample(render, render.seed) { checkpoint in
                let path = "\(folder)/\(paths.count)"
                paths.append(path)
                #expect(throws: Never.self) { try checkpoint.write(to: path, job: "job") }
            }
            let stops = render.plan.phases.map(\.steps.count) + [render.plan.enlargements.count]
            #expect(paths.count == stops.reduce(0, +))
            for path in paths {
                var noise = render.seed
                let read = try Checkpoint(file: path, plan: render.plan, job: "job", noise: &noise)
                #expect(try sample(render, noise, from: read) == whole)
            }
        }
    }

    /// Jitter from a file is sequential: a resumed render continues at its position.
    @Test func recordedJitterContinuesFromItsPosition() throws {
        let render = try makeCase(.ddim)
        try inTemporaryFolder { folder in
            let inputs = "\(folder)/in.safetensors"
            try Self.writeInputs(render.plan, to: inputs)
            let noise = try RecordedNoise(file: inputs, seeded: render.seed)
            var saved: [Checkpoint] = []
            let whole = try sample(render, noise) { saved.append($0) }
            #expect(saved.map(\.drawn).max() ?? 0 > 0)
            for (place, checkpoint) in saved.enumerated() {
                let path = "\(folder)/\(place)"
                try checkpoint.write(to: path, job: "job")
                var again = try RecordedNoise(file: inputs, seeded: render.seed)
                let read = try Checkpoint(file: path, plan: render.plan, job: "job", noise: &again)
                #expect(again.drawn == checkpoint.drawn)
                #expect(try sample(render, again, from: read) == whole)
            }
        }
    }

    /// A file with base noise, phase noise and jitter, as `--inputs` accepts it.
    private static func writeInputs(_ plan: RenderPlan, to path: String) throws {
        var random = SplitMix(3)
        var names: [(String, String, [Int], [UInt8])] = []
        func floats(_ name: String, _ latent: Extent) {
            let shape = [1, 4, latent.height, latent.width]
            let bytes = (0..<shape.reduce(1, *)).flatMap { _ in
                withUnsafeBytes(of: Float.random(in: -2...2, using: &random)) { Array($0) }
            }
            names.append((name, "F32", shape, bytes))
        }
        floats("base_noise", plan.phases[0].phase.latent)
        var jitter = 0
        for phase in plan.phases.dropFirst() {
            let scale = phase.phase.scale
            let name = scale == scale.rounded() ? "\(Int(scale))" : "\(scale)"
            floats("phase_noise.\(name)", phase.phase.latent)
            jitter += (phase.windows?.drawCount ?? 0) * 4
        }
        // A shift of 0 is always in range.
        names.append(("jitter", "I32", [jitter], [UInt8](repeating: 0, count: 4 * jitter)))
        var (header, data): ([String], [UInt8]) = ([], [])
        for (name, type, shape, bytes) in names {
            let end = data.count + bytes.count
            header.append(
                "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),"
                    + "\"data_offsets\":[\(data.count),\(end)]}"
            )
            data += bytes
        }
        let text = Array("{\(header.joined(separator: ","))}".utf8)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        try Data(length + text + data).write(to: URL(fileURLWithPath: path))
    }

    /// Every byte counts: wherever one is changed, the file is rejected with an error.
    @Test func damageIsFound() throws {
        let render = try makeCase(.dpmSolver)
        try inTemporaryFolder { folder in
            let path = "\(folder)/state"
            var saved: [Checkpoint] = []
            _ = try sample(render, render.seed) { saved.append($0) }
            try saved[5].write(to: path, job: "job")
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            func refuses(_ data: Data, _ what: String) throws {
                try data.write(to: URL(fileURLWithPath: path))
                var noise = render.seed
                let error = #expect(throws: InputError.self, "\(what)") {
                    try Checkpoint(file: path, plan: render.plan, job: "job", noise: &noise)
                }
                #expect(error?.place == path, "\(what)")
            }
            var random = SplitMix(1)
            for _ in 0..<300 {
                let place = Int.random(in: 0..<whole.count, using: &random)
                var data = whole
                data[place] ^= UInt8.random(in: 1...255, using: &random)
                // Spaces that pad the header may change to other white space.
                guard whole[place] != UInt8(ascii: " ") else { continue }
                try refuses(data, "byte \(place)")
            }
            for count in [0, 7, 100, whole.count / 2, whole.count - 1] {
                try refuses(whole.prefix(count), "\(count) bytes")
            }
            try refuses(Data("nothing of the kind".utf8), "text")
            try saved[5].write(to: path, job: "another")
            var noise = render.seed
            #expect(throws: InputError.self) {
                try Checkpoint(file: path, plan: render.plan, job: "job", noise: &noise)
            }
        }
    }

    private let record = JobFolder.Record(
        command: "render",
        arguments: ["--prompt", "two\nlines “and” quotes"],
        directory: "/tmp",
        digest: "abc",
        settings: "{\"steps\":4}"
    )

    @Test func aJobIsKeptUntilItIsFinished() throws {
        let render = try makeCase(.ddim)
        try inTemporaryFolder { folder in
            let path = "\(folder)/jobs/one"
            let writer = try CheckpointWriter(path: path, record: record, every: 100) {
                Issue.record("\($0)")
            }
            _ = try sample(render, render.seed) { writer.reached($0) }
            // Nothing was due, but the end saves anyway.
            #expect(writer.finish() == path)
            let taken = try JobFolder(taking: path)
            #expect(try taken.record() == record)
            #expect(throws: InputError.self) { try JobFolder(taking: path) }
            #expect(throws: InputError.self) { try JobFolder.checkFree(path) }
            taken.remove()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    /// A folder that cannot be written to costs one warning, not the render.
    @Test func aFullDiskIsReportedOnce() throws {
        let render = try makeCase(.ddim)
        let warnings = Mutex<[String]>([])
        try inTemporaryFolder { folder in
            let path = "\(folder)/file/job"
            try Data().write(to: URL(fileURLWithPath: "\(folder)/file"))
            let writer = try CheckpointWriter(path: path, record: record, every: 1) { warning in
                warnings.withLock { $0.append(warning) }
            }
            _ = try sample(render, render.seed) { checkpoint in
                writer.reached(checkpoint)
                Thread.sleep(forTimeInterval: 0.02)
            }
            #expect(writer.finish() == nil)
        }
        #expect(warnings.withLock { $0.count } == 1)
    }
}

import Engine
import Foundation
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing
import Worker

/// What a device does while its worker's thread does other things. The GPUs are simulated by `Tests/FakeTorch`.
@Suite(.serialized) struct PipelineTests {
    private static let gpu = DeviceName.numbered(.cuda, 0)

    private func networks(_ options: EngineOptions, batch: Int = 1) throws -> LoadedNetworks {
        try networks(#require(Fixtures.networks.first), options, batch: batch)
    }

    private func networks(
        _ fixture: NetworkFixture,
        _ options: EngineOptions,
        batch: Int
    ) throws -> LoadedNetworks {
        let model = try Model(path: fixture.checkpoint)
        let networks = LoadedNetworks(
            model,
            identity: try ModelIdentity(of: model),
            options: options,
            batch: batch
        )
        try networks.load()
        return networks
    }

    private func options(_ folder: String?, _ device: DeviceName = gpu) -> EngineOptions {
        EngineOptions(backend: .torch, threads: 2, device: device, torch: folder)
    }

    /// A guided view with its own noise, `height`×16 latent pixels.
    private func view(
        _ number: Int,
        _ fixture: NetworkFixture? = nil,
        height: Int = 16,
        timestep: Float = 501
    ) throws -> WorkUnit {
        let tensors = try (fixture ?? #require(Fixtures.networks.first)).tensors()
        func prompt(_ prefix: String) throws -> Embedding {
            let isPooled = tensors.names.contains("pooled")
            return Embedding(
                context: try tensors.tensor("\(prefix)prompt_embeds"),
                pooled: isPooled ? try tensors.tensor("\(prefix)pooled") : nil
            )
        }
        let noise = try tensors.tensor("unet.0.input").channelsLast().rows[0]
        return .view(
            number,
            noise.map { $0 * (1 + 0.1 * Float(number)) }
                .cropped(top: 0, left: 0, height: height, width: 16),
            timestep: timestep,
            guidance: 5,
            prompts: Prompts(positive: try prompt(""), negative: try prompt("negative_")),
            timeIDs: tensors.names.contains("unet.time_ids") ? [64, 64, 0, 8, 64, 64] : nil
        )
    }

    private func tile(_ networks: LoadedNetworks) throws -> WorkUnit {
        let channels = try networks.model.vaeConfig().latentChannels
        let latent = Tensor(
            (0..<64 * channels).map { cos(Float($0)) },
            shape: [1, 8, 8, channels]
        )
        return .tile(0, .decoder, latent)
    }

    /// The notes that a computing thread posts for batches that are all queued from the beginning. Units are numbered
    /// from 1.
    private func run(
        _ networks: LoadedNetworks,
        _ batches: [[WorkUnit]],
        cancelled: Set<Int> = [],
        log: String? = nil
    ) -> [WorkerNote] {
        let units = BlockingQueue<Computation?>()
        var count: UInt64 = 0
        for (place, batch) in batches.enumerated() {
            let computation = Computation(
                place + 1,
                batch.map { unit in
                    count += 1
                    return (UnitID(count), unit)
                }
            )
            if cancelled.contains(place + 1) { computation.cancellation.cancel() }
            units.put(computation)
        }
        units.put(nil)
        let notes = Mutex<[WorkerNote]>([])
        let posted = Posted(notes: notes)
        let thread = NamedThread("compute", stack: 64 << 20) {
            ComputePipeline(Evaluator(networks), units: units) { note in
                posted.notes.withLock { $0.append(note) }
                guard let log, let file = FileHandle(forWritingAtPath: log) else { return }
                file.seekToEndOfFile()
                if case .finished(_, let batch, _, _) = note {
                    file.write(Data("answer \(batch)\n".utf8))
                }
                try? file.close()
            }.run()
        }
        thread.join()
        return posted.notes.withLock { $0 }
    }

    private final class Posted: Sendable {
        let notes: Mutex<[WorkerNote]>
        init(notes: consuming Mutex<[WorkerNote]>) { self.notes = notes }
    }

    /// The results of finished units, in the order of the notes.
    private func results(_ notes: [WorkerNote]) -> [Result<WorkResult, ComputeError>] {
        notes.compactMap { note in
            if case .finished(_, _, _, let result) = note { return result }
            return nil
        }
    }

    private func units(_ notes: [WorkerNote]) -> [UnitID] {
        notes.compactMap { note in
            if case .finished(let unit, _, _, _) = note { return unit }
            return nil
        }
    }

    private func tensors(_ notes: [WorkerNote]) throws -> [Tensor] {
        try results(notes).map { try $0.get().wholeTensor }
    }

    /// The order of events, repetitions merged: latents uploaded, operations, predictions downloaded, answers.
    private func steps(_ log: String, _ shapes: Set<String>) throws -> [String] {
        var steps: [String] = []
        for line in try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            let step: String
            switch words[0] {
            case "call": step = "compute"
            case "answer": step = String(line)
            case let way where shapes.contains(words[1]): step = way
            default: continue
            }
            if steps.last != step { steps.append(step) }
        }
        return steps
    }

    private func order(on device: DeviceName) throws -> [String] {
        try inTemporaryFolder { folder in
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 1, real: nil)
            return try FakeTorch.with(gpus) {
                let networks = try networks(options(folder, device))
                let views = try (0..<3).map { [try view($0)] }
                let log = "\(folder)/log"
                try Data().write(to: URL(fileURLWithPath: log))
                let notes = FakeTorch.with(["TESSERA_FAKE_TORCH_LOG": log]) {
                    run(networks, views, log: log)
                }
                #expect(try tensors(notes).count == 3)
                return try steps(log, ["2x16x16x4"])
            }
        }
    }

    /// While the device computes a batch, the next one is uploaded. Only the download waits, and only then is the
    /// device idle, until the next batch has been started; the answers of the first follow after that.
    @Test func aGPUComputesWhileTheNextBatchIsUploaded() throws {
        #expect(
            try order(on: Self.gpu) == [
                "upload", "compute", "upload", "download",
                "compute", "answer 1", "upload", "download",
                "compute", "answer 2", "download", "answer 3",
            ]
        )
    }

    @Test func aProcessorComputesOneBatchAfterTheOther() throws {
        #expect(
            try order(on: .processor) == [
                "upload", "compute", "download", "answer 1",
                "upload", "compute", "download", "answer 2",
                "upload", "compute", "download", "answer 3",
            ]
        )
    }

    /// A cancelled batch is answered in its turn, and no other batch is cancelled with it.
    @Test(arguments: [[], [1], [2], [3], [1, 2], [1, 2, 3]] as [Set<Int>])
    func cancelledBatchesHaveTheirTurn(_ cancelled: Set<Int>) throws {
        try inTemporaryFolder { folder in
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 1, real: nil)
            try FakeTorch.with(gpus) {
                let networks = try networks(options(folder))
                let views = try (0..<3).map { [try view($0)] }
                let notes = run(networks, views, cancelled: cancelled)
                #expect(units(notes) == [UnitID(1), UnitID(2), UnitID(3)])
                for (place, result) in results(notes).enumerated() {
                    switch result {
                    case .success: #expect(!cancelled.contains(place + 1))
                    case .failure(let error):
                        #expect(error == .cancelled && cancelled.contains(place + 1))
                    }
                }
            }
        }
    }

    /// Wherever memory runs out, and for whichever batch: every unit is answered, in order.
    @Test(arguments: ["oom", "empty"]) func fullMemoryCostsNoAnswer(_ kind: String) throws {
        try inTemporaryFolder { folder in
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 1, real: nil)
            try FakeTorch.with(gpus) {
                let networks = try networks(options(folder), batch: 2)
                let tile = try tile(networks)
                let views = try (0..<5).map { try view($0) }
                let batches = [[views[0], views[1]], [views[2]], [tile], [views[3], views[4]]]
                // The first tile loads the decoder.
                _ = run(networks, [[tile]])
                var halved = 0
                for k in stride(from: 1, to: 1200, by: 7) {
                    let notes = FakeTorch.failing("\(kind)@\(k)") { run(networks, batches) }
                    #expect(units(notes) == (1...6).map { UnitID(UInt64($0)) }, "\(kind)@\(k)")
                    for (place, result) in results(notes).enumerated() {
                        // A whole latent is not decoded in halves.
                        guard case .failure(let error) = result else { continue }
                        #expect(place == 3, "\(kind)@\(k): unit \(place + 1) failed: \(error)")
                        #expect("\(error)".contains("the decoder"), "\(error)")
                    }
                    let fitted = notes.contains { if case .fitted = $0 { true } else { false } }
                    if fitted { halved += 1 }
                }
                #expect(halved > 10, "\(kind): \(halved)")
            }
        }
    }

    /// A loss is the last note about the device, and no unit is blamed for it.
    @Test func aLossEndsTheThread() throws {
        try inTemporaryFolder { folder in
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 1, real: nil)
            try FakeTorch.with(gpus) {
                let networks = try networks(options(folder))
                let views = try (0..<3).map { [try view($0)] }
                var answered: Set<Int> = []
                for k in stride(from: 1, to: 4000, by: 50) {
                    let notes = FakeTorch.failing("lost@\(k)") { run(networks, views) }
                    let count = units(notes).count
                    answered.insert(count)
                    #expect(units(notes) == (0..<count).map { UnitID(UInt64($0 + 1)) })
                    #expect(try tensors(notes).count == count, "answers are results")
                    if case .lost = notes.last {} else { #expect(count == 3, "lost@\(k)") }
                }
                #expect(answered == [0, 1, 2, 3])
            }
        }
    }
}

/// The same with PyTorch behind the simulated GPUs.
extension PipelineTests {
    private func onGPUs<T>(defines: [String] = [], _ body: (String) throws -> T) throws -> T {
        try inTemporaryFolder { folder in
            let real = try TorchFinder().find(nil).folder
            let gpus = try FakeTorch.buildGPUs(
                in: folder,
                count: 1,
                real: real,
                defines: defines
            )
            return try FakeTorch.with(gpus) { try body(folder) }
        }
    }

    /// Batches of different views with a tile between them: the same bits as one evaluation after the other.
    @Test(.enabled(if: TestedBackends.hasTorch), arguments: Fixtures.networks)
    func resultsAreThoseOfOneBatchAfterTheOther(_ fixture: NetworkFixture) throws {
        try onGPUs { folder in
            let plain = try networks(fixture, options(nil, .processor), batch: 2)
            let batches = [
                [try view(0, fixture), try view(1, fixture)],
                [try view(2, fixture, timestep: 301), try view(3, fixture, timestep: 301)],
                [try view(4, fixture, height: 8)],
                [try tile(plain)],
                [try view(5, fixture), try view(6, fixture)],
                [try view(0, fixture), try view(1, fixture)],
            ]
            let expected = try batches.flatMap { try Evaluator(plain).evaluate($0) }
            let gpu = try networks(fixture, options(folder), batch: 2)
            #expect(gpu.isAsynchronous && !plain.isAsynchronous)
            let found = try tensors(run(gpu, batches))
            #expect(found.count == expected.count)
            for (i, (a, b)) in zip(found, expected).enumerated() {
                #expect(
                    a.shape == b.wholeTensor.shape && a.values == b.wholeTensor.values,
                    "unit \(i)"
                )
            }
        }
    }

    /// Halved batches give the same results.
    @Test(.enabled(if: TestedBackends.hasTorch)) func fullMemoryLeavesTheAnswersRight() throws {
        try onGPUs { folder in
            let plain = try networks(options(nil, .processor), batch: 2)
            let views = try (0..<6).map { try view($0) }
            let batches = [[views[0], views[1]], [views[2], views[3]], [views[4], views[5]]]
            let expected = try batches.flatMap { try Evaluator(plain).evaluate($0) }
            let gpu = try networks(options(folder), batch: 2)
            for wish in ["oom", "empty"] {
                for k in [1, 2, 3, 5, 30, 100, 170, 220, 300, 400, 500, 700] {
                    let notes = FakeTorch.failing("\(wish)@\(k)") { run(gpu, batches) }
                    let found = try tensors(notes)
                    #expect(found.count == expected.count)
                    for (i, (a, b)) in zip(found, expected).enumerated() {
                        let name = "\(wish)@\(k): view \(i)"
                        expectClose(a, b.wholeTensor, within: Tolerance.parity, name)
                    }
                }
            }
        }
    }

    /// Large tensors are transferred through page-locked memory where there is any.
    @Test(.enabled(if: TestedBackends.hasTorch), arguments: [[], ["WITHOUT_PINNED"]])
    func uploadsAreWhole(_ defines: [String]) throws {
        try onGPUs(defines: defines) { folder in
            let x = Tensor((0..<70_000).map { sin(Float($0)) }, shape: [1, 70, 250, 4])
            let backend = try options(folder).makeBackend()
            let found = try backend.checking { backend.download(backend.upload(x)) }
            #expect(found.shape == x.shape && found.values == x.values)
        }
    }
}

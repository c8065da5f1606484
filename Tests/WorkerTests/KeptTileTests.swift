import DirectRendering
import Engine
import Foundation
import Sampling
import Synchronization
import TestSupport
import Testing

/// Tiles that a device keeps between two evaluations. The GPU is simulated by `Tests/FakeTorch` on top of PyTorch.
@Suite(.serialized, .enabled(if: TestedBackends.hasTorch)) struct KeptTileTests {
    /// Evaluates parts one after the other, as a worker does. A tile's input is sent with its first part, and again if
    /// the tile was not kept.
    private final class Renderer: UnitByUnit {
        private let evaluator: Evaluator
        private let counts = Mutex((resent: 0, seen: Set<TileID>()))

        var resent: Int { counts.withLock { $0.resent } }

        init(_ networks: LoadedNetworks) { evaluator = Evaluator(networks) }

        func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
            var short = unit
            if let tile = unit.tile, !counts.withLock({ $0.seen.insert(tile).inserted }) {
                short.input = .omitted
            }
            do {
                return try evaluator.evaluate([short])[0]
            } catch is TileNotKept {
                counts.withLock { $0.resent += 1 }
                return try evaluator.evaluate([unit])[0]
            }
        }
    }

    private struct Found {
        var values: [Float] = []
        /// Bytes of activations moved to files and back, and bytes of all transfers.
        var toFiles = 0, fromFiles = 0, all = 0
        var downloads = 0

        /// The largest difference; infinite if the sizes differ.
        func distance(to other: Found) -> Float {
            guard values.count == other.values.count, !values.isEmpty else { return .infinity }
            return zip(values, other.values).map { abs($0 - $1) }.max() ?? .infinity
        }
    }

    /// One thread, because the library of `Tests/FakeTorch` does not forward the number of threads.
    private func options(_ device: DeviceName, _ folder: String?) -> EngineOptions {
        EngineOptions(backend: .torch, threads: 1, device: device, torch: folder)
    }

    /// A renderer with a worker's networks.
    private func renderer(
        _ fixture: NetworkFixture,
        _ device: DeviceName,
        _ folder: String?
    ) throws -> Renderer {
        let model = try Model(path: fixture.checkpoint)
        return Renderer(
            LoadedNetworks(
                model,
                identity: try ModelIdentity(of: model),
                options: options(device, folder),
                batch: 1
            )
        )
    }

    /// Decodes or encodes a small picture in six tiles.
    /// The GPU has `free` bytes free; nil: unknown. From the tenth evaluation of a tile on, `wish` fails.
    private func evaluate(
        _ fixture: NetworkFixture,
        _ half: AutoencoderHalf,
        _ renderer: any UnitRenderer,
        free: Int? = nil,
        failing wish: String? = nil
    ) throws -> Found {
        let config = try Model(path: fixture.checkpoint).vaeConfig()
        let (height, width) = (20, 30)
        let plan = TilePlan(
            latent: Extent(height: height, width: width),
            factor: config.factor,
            network: config.network(half),
            wholeArea: 0,
            side: 10
        )
        let unit = half == .decoder ? 1 : config.factor
        let channels = half == .decoder ? config.latentChannels : 3
        let input = Tensor(
            shape: [1, height * unit, width * unit, channels],
            filledBy: { out in
                let noise = TorchRandom.normal(seed: 6, count: out.count)
                for i in out.indices { out[i] = half == .decoder ? noise[i] : tanh(noise[i]) }
            }
        )
        let source: any TileSource =
            half == .decoder
            ? input : PictureTiles(latent: plan.latent, factor: unit) { input.cut($0) }
        let log = "\(NSTemporaryDirectory())/tessera-kept-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: log) }
        var variables = ["TESSERA_FAKE_TORCH_LOG": log]
        variables["TESSERA_FAKE_TORCH_FREE"] = free.map(String.init)
        var found = Found()
        try FakeTorch.with(variables) {
            defer { unsetenv("TESSERA_FAKE_TORCH") }
            var tiles = 0
            let evaluation = try TiledEvaluation(source, plan: plan, on: renderer) { event in
                guard case .tile = event else { return }
                tiles += 1
                if tiles == 10, let wish { setenv("TESSERA_FAKE_TORCH", wish, 1) }
            }
            try evaluation.finish { found.values += $0.values }
        }
        guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return found }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, ["upload", "download"].contains(words[0]) else { continue }
            let sizes = words[1].split(separator: "x").compactMap { Int($0) }
            let bytes = 4 * sizes.reduce(1, *)
            found.all += bytes
            if words[0] == "download" { found.downloads += 1 }
            // Only pieces of activations are long and have a single axis.
            guard sizes.count == 1, sizes[0] > 2048 else { continue }
            if words[0] == "download" { found.toFiles += bytes } else { found.fromFiles += bytes }
        }
        return found
    }

    private func onGPU(_ body: (String) throws -> Void) throws {
        try inTemporaryFolder { folder in
            let real = try TorchFinder().find(nil).folder
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 1, real: real)
            try FakeTorch.with(gpus) { try body(folder) }
        }
    }

    private static let gpu = DeviceName.numbered(.cuda, 0)

    /// With room for them all tiles stay on the device, and with room for half of them some; without room, or if the
    /// free memory is unknown, none. The bits are the same.
    @Test(arguments: Fixtures.networks.suffix(2), AutoencoderHalf.allCases)
    func aDeviceKeepsWhatItHasRoomFor(_ fixture: NetworkFixture, _ half: AutoencoderHalf) throws {
        try onGPU { folder in
            func evaluate(
                _ device: DeviceName,
                _ folder: String?,
                tileBytes: Int,
                free: Int?
            ) throws -> Found {
                let vae = try VAE(
                    model: Model(path: fixture.checkpoint),
                    options: options(device, folder),
                    halves: [half],
                    tileBytes: tileBytes
                )
                return try self.evaluate(fixture, half, DirectRenderer(vae), free: free)
            }
            let plain = try evaluate(.processor, nil, tileBytes: 1 << 30, free: nil)
            let room = 100 << 30
            let kept = try evaluate(Self.gpu, folder, tileBytes: 0, free: room)
            let moved = try evaluate(Self.gpu, folder, tileBytes: 0, free: 1 << 30)
            let unknown = try evaluate(Self.gpu, folder, tileBytes: 0, free: nil)
            let some = try evaluate(Self.gpu, folder, tileBytes: 1 << 18, free: 1 << 30)
            print(
                "\(fixture) \(half): \(kept.all) bytes moved, \(kept.downloads) downloads; "
                    + "without room \(moved.all) bytes, \(moved.toFiles) to files, \(moved.fromFiles) back"
            )
            for (name, found) in [
                ("kept", kept), ("moved", moved), ("unknown", unknown), ("some", some),
            ] { #expect(found.distance(to: plain) == 0, "\(name)") }
            #expect(kept.toFiles == 0 && kept.fromFiles == 0)
            #expect(moved.toFiles > 0 && moved.toFiles == moved.fromFiles)
            #expect(unknown.toFiles == moved.toFiles)
            #expect(some.toFiles > 0 && some.toFiles < moved.toFiles)
        }
    }

    /// A device that runs out of memory in the middle of a picture: what it keeps is moved to files, and only time is
    /// lost.
    @Test(arguments: Fixtures.networks.suffix(2), AutoencoderHalf.allCases)
    func shortagesChangeNothing(_ fixture: NetworkFixture, _ half: AutoencoderHalf) throws {
        try onGPU { folder in
            let plain = try evaluate(fixture, half, renderer(fixture, .processor, nil))
            let room = 100 << 30
            for wish in ["oom@1", "oom@8", "oom@25", "empty@4"] {
                let gpu = try renderer(fixture, Self.gpu, folder)
                let found = try evaluate(fixture, half, gpu, free: room, failing: wish)
                #expect(found.distance(to: plain) == 0, "\(wish)")
                #expect(found.toFiles > 0 && found.fromFiles > 0, "\(wish)")
                #expect(gpu.resent == 1, "\(wish)")
            }
            // Without a failure nothing is moved.
            let gpu = try renderer(fixture, Self.gpu, folder)
            let all = try evaluate(fixture, half, gpu, free: room)
            #expect(all.distance(to: plain) == 0)
            #expect(all.toFiles == 0 && all.fromFiles == 0 && gpu.resent == 0)
        }
    }
}

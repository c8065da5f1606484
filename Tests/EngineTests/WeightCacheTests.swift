import Engine
import Foundation
import Synchronization
import TestSupport
import Testing

/// Prepared weights in files that processes share: always the network's own, whatever happens to the file.
@Suite struct WeightCacheTests {
    static let backends = BackendKind.builtIn.map { EngineOptions(backend: $0) }
    private let model = Fixtures.networks.first?.checkpoint ?? ""

    private func unet(_ options: EngineOptions, _ folder: String?) throws -> UNet {
        try UNet(
            model: Model(path: model),
            options: options,
            cache: folder.map { WeightCache(folder: $0, smallest: 0) }
        )
    }

    private func answer(_ unet: UNet) throws -> [Float] {
        let fixture = try #require(Fixtures.networks.first)
        let expected = try fixture.tensors()
        let conditions = try Conditions(fixture)
        return try unet.predict(
            try expected.tensor("unet.0.input").channelsLast(),
            timestep: try expected.tensor("unet.0.timestep").values[0],
            context: conditions.context,
            pooled: conditions.pooled,
            timeIDs: conditions.timeIDs
        ).values
    }

    private func kept(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { !$0.hasSuffix(".lock") }
    }

    @Test(arguments: backends) func isBuiltOnceAndThenMapped(options: EngineOptions) throws {
        let expected = try answer(try unet(options, nil))
        try inTemporaryFolder { folder in
            let first = try unet(options, folder)
            #expect(first.origin == .built)
            let second = try unet(options, folder)
            #expect(second.origin == .mapped)
            #expect(try kept(folder).count == 1)
            #expect(try answer(first) == expected)
            #expect(try answer(second) == expected)
            // A mapping outlives the file's name.
            try FileManager.default.removeItem(atPath: "\(folder)/\(try kept(folder)[0])")
            #expect(try answer(second) == expected)
            #expect(try unet(options, folder).origin == .built)
        }
    }

    @Test func theVAEIsKeptToo() throws {
        try inTemporaryFolder { folder in
            let cache = WeightCache(folder: folder, smallest: 0)
            func vae(halves: Set<AutoencoderHalf>) throws -> VAE {
                try VAE(
                    model: Model(path: model),
                    options: Self.backends[0],
                    halves: halves,
                    cache: cache
                )
            }
            var noise = Noise(4)
            let latent = noise.tensor([1, 6, 5, 4])
            let built = try vae(halves: [.decoder])
            #expect(built.origin == .built)
            #expect(try vae(halves: [.decoder, .encoder]).origin == .built)
            let mapped = try vae(halves: [.decoder])
            #expect(mapped.origin == .mapped)
            #expect(try mapped.decode(latent).values == built.decode(latent).values)
        }
    }

    @Test func aDamagedFileIsRebuilt() throws {
        let options = Self.backends[0]
        let expected = try answer(try unet(options, nil))
        try inTemporaryFolder { folder in
            _ = try unet(options, folder)
            let path = "\(folder)/\(try kept(folder)[0])"
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            var mutator = Mutator(seed: 11)
            var damaged = [Data(), whole.dropLast(), whole.dropLast(4096), whole + Data([0])]
            for at in [0, whole.count / 2, whole.count - 1, whole.count - 40] {
                var one = whole
                one[at] ^= 0x40
                damaged.append(one)
            }
            for _ in 0..<20 {
                var one = whole
                one[mutator.below(whole.count)] ^= UInt8(1 + mutator.below(255))
                damaged.append(one)
            }
            for bytes in damaged {
                // A new file, because the old one may be mapped.
                try bytes.write(to: URL(fileURLWithPath: path), options: .atomic)
                let loaded = try unet(options, folder)
                // A flipped bit in the padding between two blocks affects no weights.
                #expect(loaded.origin == .built || bytes.count == whole.count)
                #expect(try answer(loaded) == expected)
                #expect(try kept(folder).count == 1)
            }
        }
    }

    @Test func concurrentProcessesBuildOne() throws {
        let options = Self.backends[0]
        let expected = try answer(try unet(options, nil))
        try inTemporaryFolder { folder in
            let results = Mutex<[(WeightCache.Origin, [Float])]>([])
            DispatchQueue.concurrentPerform(iterations: 4) { _ in
                guard let unet = try? unet(options, folder), let found = try? answer(unet) else {
                    return
                }
                results.withLock { $0.append((unet.origin, found)) }
            }
            let all = results.withLock { $0 }
            #expect(all.count == 4)
            #expect(all.filter { $0.0 == .built }.count == 1)
            #expect(all.allSatisfy { $0.1 == expected })
        }
    }

    @Test func withoutAFolderEachKeepsItsOwn() throws {
        let options = Self.backends[0]
        let expected = try answer(try unet(options, nil))
        try inTemporaryFolder { folder in
            let file = "\(folder)/file"
            try Data().write(to: URL(fileURLWithPath: file))
            let alone = try unet(options, "\(file)/cache")
            guard case .own(let reason?) = alone.origin else {
                Issue.record("\(alone.origin)")
                return
            }
            #expect(reason.contains(file))
            #expect(try answer(alone) == expected)
        }
    }

    /// On a file system of 64 kB, which root can mount.
    @Test(.enabled(if: geteuid() == 0)) func aFullDiskLeavesNothing() throws {
        let options = Self.backends[0]
        let expected = try answer(try unet(options, nil))
        try inTemporaryFolder { folder in
            guard mount("none", folder, "tmpfs", 0, "size=64k") == 0 else {
                print("no tmpfs can be mounted here: not tested")
                return
            }
            defer { umount(folder) }
            let alone = try unet(options, folder)
            guard case .own(_?) = alone.origin else {
                Issue.record("\(alone.origin)")
                return
            }
            #expect(try kept(folder).isEmpty)
            #expect(try answer(alone) == expected)
        }
    }

    @Test func leftoversOfDeadProcessesAreRemoved() throws {
        try inTemporaryFolder { folder in
            _ = try unet(Self.backends[0], folder)
            let name = try kept(folder)[0]
            try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
            try Data([1]).write(to: URL(fileURLWithPath: "\(folder)/\(name).a1B2c3"))
            #expect(try unet(Self.backends[0], folder).origin == .built)
            #expect(try kept(folder) == [name])
        }
    }

    @Test func everyPreparationHasItsOwnFile() throws {
        try inTemporaryFolder { (folder: String) throws -> Void in
            for options in Self.backends {
                #expect(try unet(options, folder).origin == .built)
            }
            #expect(try kept(folder).count == Self.backends.count)
        }
    }
}

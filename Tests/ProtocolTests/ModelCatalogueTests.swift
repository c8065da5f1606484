import Engine
import Foundation
import Protocol
import TestSupport
import Testing

@Suite struct ModelCatalogueTests {
    private func digest(_ number: UInt8) -> ModelCatalogue.Digest {
        [number].withUnsafeBytes { ModelCatalogue.Digest(of: $0) }
    }

    private func catalogue(_ name: String = "model/unet/config.json", size: Int = 7)
        -> ModelCatalogue
    {
        var parts = ModelContent.Parts()
        parts.model = "model"
        parts.loras = ["lora-1/fa.safetensors:0.5"]
        let count = ModelCatalogue.chunkCount(size)
        let file = ModelCatalogue.File(
            name: name,
            digest: digest(1),
            size: size,
            chunks: (0..<count).map { digest(UInt8($0)) }
        )
        return ModelCatalogue(files: [file], parts: parts)
    }

    @Test func itArrivesAsItWasSent() throws {
        for size in [0, 1, ModelCatalogue.chunkBytes, 5 * ModelCatalogue.chunkBytes + 1] {
            let sent = catalogue(size: size)
            #expect(try ModelCatalogue(bytes: sent.bytes) == sent)
        }
        let digest = digest(3)
        #expect(ModelCatalogue.Digest(hex: "\(digest)") == digest)
        #expect(ModelCatalogue.Digest(hex: "\(digest)0") == nil)
        #expect(ModelCatalogue.Digest(hex: String(repeating: "g", count: 64)) == nil)
        #expect(ModelCatalogue.Digest(hex: "none") == nil && ModelCatalogue.Digest(hex: "") == nil)
    }

    /// Nothing is written outside the cache, whatever a coordinator calls its files.
    @Test func harmfulNamesAreRefused() {
        for name in [
            "", "/etc/passwd", "../x", "model/../../x", "model//x", "model/.x", "a/b/c/d",
            "model/x y",
            "model/ä", "model/\0", "model/x:1", String(repeating: "a", count: 300), "model/",
        ] {
            #expect(throws: FrameError.self, "\(name)") {
                try ModelCatalogue(bytes: catalogue(name).bytes)
            }
            var other = catalogue()
            other.parts.model = name
            #expect(throws: FrameError.self, "\(name)") { try ModelCatalogue(bytes: other.bytes) }
            guard !name.isEmpty, !name.contains(":") else { continue }
            other = catalogue()
            other.parts.loras = [name + ":1"]
            #expect(throws: FrameError.self, "\(name)") { try ModelCatalogue(bytes: other.bytes) }
        }
        var twice = catalogue()
        twice.files += twice.files
        #expect(throws: FrameError.self) { try ModelCatalogue(bytes: twice.bytes) }
    }

    @Test func damageIsHarmless() {
        let bytes = catalogue(size: 3 * ModelCatalogue.chunkBytes).bytes
        var mutator = SplitMix(1)
        for _ in 0..<3000 {
            var damaged = bytes
            for _ in 0..<Int(mutator.next() % 4 + 1) {
                damaged[Int(mutator.next() % UInt64(damaged.count))] = UInt8(
                    truncatingIfNeeded: mutator.next()
                )
            }
            guard let read = try? ModelCatalogue(bytes: damaged) else { continue }
            for file in read.files {
                #expect(ModelCatalogue.isHarmless(file.name))
                #expect(file.chunks.count == ModelCatalogue.chunkCount(file.size))
            }
        }
    }
}

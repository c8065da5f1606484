import Engine
import Foundation
import TestSupport
import Testing

/// The output of `tessera inspect`.
@Suite struct ModelReportTests {
    private let clip = "\(SingleFileLayout.ownFixtures)/clip-vocab"

    /// Parameter counts of the published models.
    @Test(arguments: [
        ("sd15", "Stable Diffusion 1", "512x512", [859_520_964, 83_653_863, 123_060_480]),
        ("sd21", "Stable Diffusion 2", "768x768", [865_910_724, 83_653_863, 340_387_840]),
        (
            "sdxl", "Stable Diffusion XL", "1024x1024",
            [2_567_463_684, 83_653_863, 123_060_480, 694_659_840]
        ),
    ])
    func publishedSizes(kind: String, family: String, side: String, parameters: [Int]) throws {
        let layout = try SingleFileLayout(kind, size: "published")
        // A hollow file holds only half-precision numbers, and position ids are not.
        let shapes = layout.entries.mapValues(\.shape).filter {
            !$0.key.hasSuffix("position_ids") && !$0.key.hasPrefix("first_stage_model.encoder")
        }
        try inTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try RawTensor.writeHollow(shapes, to: path)
            let options = ModelOptions(vocabulary: clip)
            let report = try ModelReport(path: path, options: options, readsWeights: false)
            let facts = Dictionary(report.facts.map { ($0.name, $0.value) }) { first, _ in first }
            #expect(facts["family"] == family && facts["native size"] == side)
            #expect(report.missing == [], "\(report.missing)")
            for (part, count) in zip(report.parts, parameters) where part.name != "vae" {
                #expect(part.parameters == count && part.types == ["F16"], "\(kind) \(part.name)")
            }
        }
    }

    @Test func gapsAreListed() throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            let whole = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
            try FileManager.default.copyItem(atPath: whole, toPath: copy)
            for part in ["text_encoder", "tokenizer", "vae/diffusion_pytorch_model.safetensors"] {
                try FileManager.default.removeItem(atPath: "\(copy)/\(part)")
            }
            let report = try ModelReport(path: copy, options: ModelOptions(), readsWeights: true)
            #expect(report.missing.count == 3, "\(report.missing)")
            for part in ["text_encoder", "tokenizer", "vae"] {
                #expect(report.missing.contains { $0.hasPrefix("\(copy)/\(part)") })
            }
            #expect(report.parts.map(\.name) == ["unet"])
            #expect(report.lines.filter { $0.hasPrefix("missing: ") }.count == 3)
            #expect(throws: InputError.self) { _ = try Model(path: copy) }
        }
    }
}

/// Model digests as docs/protocol.md defines them.
@Suite struct ModelDigestTests {
    /// From Python:
    ///
    ///     b = lambda x: hashlib.blake2b(x, digest_size=32).hexdigest()
    ///     f = lambda *t: b(b"".join(struct.pack("<Q", len(x)) + x.encode() for x in t))
    ///     digest = f(b(unet config), b(unet weights), b(vae config), b(vae weights))
    ///     merged = f(digest, b(lora), "0.5")
    @Test func asDocumented() throws {
        let folder = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
        #expect(
            try Model(path: folder).digest()
                == "74d024aa7d84cea28f8c105ff6b4c9e76d337cbdacf0606178cdb722c7a45ea1"
        )
        let lora = "\(SingleFileLayout.ownFixtures)/lora/sd15-older.safetensors"
        let options = ModelOptions(loras: [LoRASource(path: lora, weight: 0.5)])
        #expect(
            try Model(path: folder, options: options).digest()
                == "917919d09eb94289fec9b57229706bc95f9d2c1e797cbf92e5b2e329f318b9e6"
        )
    }

    /// A cached digest is always that of the content, whatever happens to the file and the cache.
    @Test func digestsAreKept() throws {
        try inTemporaryFolder { folder in
            let (file, cache) = ("\(folder)/a", "\(folder)/cache/digests")
            func write(_ text: String) throws {
                try Data(text.utf8).write(to: URL(fileURLWithPath: file))
            }
            func digest(_ settling: Int = -1, smallest: Int = 1) throws -> String {
                try FileDigest.of(file, cache: cache, smallest: smallest, settling: settling)
            }
            func entries() -> [String] {
                (try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []
            }
            try write("one")
            let one = try FileDigest.of(file, cache: nil)
            #expect(try digest(3600) == one && digest(smallest: 4) == one)
            #expect(entries() == [], "new files and small ones are not entered")
            #expect(try digest() == one)
            let entry = try #require(entries().first)
            // The cache is trusted ...
            try Data(String(repeating: "0", count: 64).utf8)
                .write(to: URL(fileURLWithPath: "\(cache)/\(entry)"))
            #expect(try digest() == String(repeating: "0", count: 64))
            // ... if it holds a digest of this very file.
            try Data("nonsense".utf8).write(to: URL(fileURLWithPath: "\(cache)/\(entry)"))
            #expect(try digest() == one)
            try write("two")
            #expect(try digest() == FileDigest.of(file, cache: nil))
            #expect(try digest() != one && entries().count == 2)
            try FileManager.default.removeItem(atPath: "\(folder)/cache")
            try write("three")
            try Data().write(to: URL(fileURLWithPath: "\(folder)/cache"))
            #expect(try digest() == FileDigest.of(file, cache: nil), "no cache can be made")
            #expect(throws: InputError.self) {
                try FileDigest.of("\(folder)/none", cache: cache, smallest: 1)
            }
        }
    }
}

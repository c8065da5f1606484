import Engine
import Foundation
import TestSupport
import Testing

/// Thousands of damaged files for each reader: read or refused, never a crash, a hang or a gigantic
/// allocation. The seeds are fixed.
@Suite struct DamagedFileTests {
    @Test func safetensors() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a.safetensors"
            let tensors = (0..<5).map { i in
                ("block.\(i).weight", Tensor((0..<(4 * i)).map(Float.init), shape: [i, 2, 2]))
            }
            try SafeTensors.write(tensors, metadata: ["format": "pt"], to: file)
            let whole = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
            // Any bytes are valid data after the header: only the header can be wrong.
            try check(whole, file: file, variants: 3000, spareTail: 160, seed: 1) {
                let read = try SafeTensors(file: file)
                for name in read.names { _ = try? read.tensor(name) }
            }
        }
    }

    @Test func json() throws {
        let config = "\(Fixtures.networks.first?.checkpoint ?? "")/unet/config.json"
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: config)))
        var mutator = Mutator(seed: 2)
        var refused = 0
        for _ in 0..<5000 {
            let bytes = mutator.mutate(whole)
            do { _ = try JSON(bytes, place: "damaged") } catch { refused += 1 }
        }
        #expect(refused > 1000)
    }

    @Test func configurations() throws {
        let config = "\(Fixtures.networks.first?.checkpoint ?? "")/unet/config.json"
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: config)))
        try inTemporaryFolder { folder in
            let file = "\(folder)/config.json"
            try check(whole, file: file, variants: 1500, seed: 3) {
                _ = try UNetConfig(file: file)
            }
        }
    }

    @Test func tokenizers() throws {
        let folder = "\(Fixtures.networks.first?.checkpoint ?? "")/tokenizer"
        let names = [
            "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
        ]
        try inTemporaryFolder { copy in
            for name in names {
                try FileManager.default.copyItem(
                    atPath: "\(folder)/\(name)",
                    toPath: "\(copy)/\(name)"
                )
            }
            for (i, name) in names.enumerated() {
                let file = "\(copy)/\(name)"
                let whole = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
                var mutator = Mutator(seed: UInt64(10 + i))
                for _ in 0..<60 {
                    try Data(mutator.mutate(whole)).write(to: URL(fileURLWithPath: file))
                    do {
                        let tokenizer = try CLIPTokenizer(folder: copy)
                        #expect(tokenizer.encode("a lake at dawn, 4k 🦊").count == tokenizer.length)
                    } catch is InputError {}
                }
                try Data(whole).write(to: URL(fileURLWithPath: file))
            }
        }
    }

    /// A megabyte of text must not hang the tokenizer.
    @Test func hostilePrompts() throws {
        let folder = "\(Fixtures.networks.first?.checkpoint ?? "")/tokenizer"
        let tokenizer = try CLIPTokenizer(folder: folder)
        for letter in ["x", "'", "1", " ", "é", "🦊", "\u{301}", "<|"] {
            let prompt = String(repeating: letter, count: 1_000_000 / letter.utf8.count)
            #expect(tokenizer.encode(prompt).count == tokenizer.length)
        }
        // One word in which almost every merge of the vocabulary applies somewhere.
        var mutator = Mutator(seed: 4)
        let letters = (0..<1_000_000).map { _ in UInt8(97 + mutator.below(26)) }
        let word = String(decoding: letters, as: UTF8.self)
        #expect(tokenizer.encode(word).count == tokenizer.length)
    }

    /// Scheduler options, and the schedules that follow from those that are accepted.
    @Test func schedulers() throws {
        let text = """
            {"_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 10, "beta_start": 0.1,
             "beta_end": 0.2, "beta_schedule": "linear", "timestep_spacing": "leading",
             "use_karras_sigmas": true, "rescale_betas_zero_snr": true, "steps_offset": 1,
             "original_inference_steps": 5, "timestep_scaling": 10.0}
            """
        let numbers = ["0", "1", "2", "9", "10", "-1", "1e300", "0.5", "1e-300", "NaN", "Infinity"]
        var mutator = Mutator(seed: 5)
        var accepted = 0
        for _ in 0..<3000 {
            // One value becomes an edge case, and half of the texts are damaged as well.
            var parts = text.split(separator: ":")
            let place = 1 + mutator.below(parts.count - 1)
            let tail = parts[place].drop { $0 != "," && $0 != "}" }
            parts[place] = Substring(numbers[mutator.below(numbers.count)] + tail)
            let edged = Array(parts.joined(separator: ":").utf8)
            let bytes = mutator.below(2) == 0 ? edged : mutator.mutate(edged)
            do {
                var reader = try ConfigReader(JSON(bytes, place: "damaged"), place: "damaged")
                let config = try SchedulerConfig(&reader)
                accepted += 1
                for kind in SchedulerKind.allCases {
                    for steps in [1, 2, 5] {
                        let scheduler = try? Scheduler(kind, config: config, steps: steps)
                        #expect(scheduler?.starts.count ?? steps == steps)
                    }
                }
            } catch {}
        }
        #expect(accepted > 200)
    }

    private func check(
        _ whole: [UInt8],
        file: String,
        variants: Int,
        spareTail: Int = 0,
        seed: UInt64,
        _ read: () throws -> Void
    ) throws {
        var mutator = Mutator(seed: seed)
        var refused = 0
        for _ in 0..<variants {
            let head = mutator.mutate(Array(whole.dropLast(spareTail)))
            try Data(head + whole.suffix(spareTail)).write(to: URL(fileURLWithPath: file))
            do { try read() } catch is InputError { refused += 1 }
        }
        #expect(refused > variants / 10)
    }
}

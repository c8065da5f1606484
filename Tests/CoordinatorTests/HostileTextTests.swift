import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// Picture texts from strangers: they lead to no other file, and their cost is bounded by their length. Without limits,
/// the long ones would take minutes or never end.
@Suite(.timeLimit(.minutes(1))) struct HostileTextTests {
    private let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    private func recipe(
        _ key: String,
        _ text: String,
        in folder: String,
        _ change: (inout PictureRecipe.Request) -> Void = { _ in }
    ) throws -> PictureRecipe {
        var request = PictureRecipe.Request(
            path: try RepeatTests.picture([(key, text)], in: folder)
        )
        change(&request)
        return try PictureRecipe(request)
    }

    private func recipe(
        _ key: String,
        _ text: String,
        _ change: (inout PictureRecipe.Request) -> Void = { _ in }
    ) throws -> PictureRecipe {
        try inTemporaryFolder { try recipe(key, text, in: $0, change) }
    }

    private let line = "\nSteps: 2, Sampler: Euler, CFG scale: 3, Seed: 1, Size: 64x64"

    /// An invalid hash matches no model, and an adapter is never taken for one, whatever its name and hash.
    @Test func aModelNeedsAHashAndTheFileOfAModel() throws {
        try inTemporaryFolder { folder in
            let models = "\(folder)/models"
            try FileManager.default.createDirectory(
                atPath: models,
                withIntermediateDirectories: true
            )
            let unet = "\(models)/unet.safetensors"
            let lora = "\(models)/a.safetensors"
            for (from, to) in [
                ("sd15-tiny/unet/diffusion_pytorch_model.safetensors", unet),
                ("adapters/sd15-loha.safetensors", lora),
                ("language/sd15-two.safetensors", "\(models)/b.safetensors"),
                ("sd15-tiny/vae/diffusion_pytorch_model.safetensors", "\(models)/c.safetensors"),
            ] { try FileManager.default.copyItem(atPath: "\(fixtures)/\(from)", toPath: to) }
            func model(_ fields: String) throws -> String? {
                let found = try recipe("parameters", "a\(line), \(fields)", in: folder) {
                    $0.modelFolder = models
                }
                let flag = found.arguments.first { $0.hasPrefix("--model=") }
                if flag == nil {
                    #expect(found.warnings.contains { $0.contains("is not found") }, "\(fields)")
                }
                return flag.map { String($0.dropFirst(8)) }
            }
            let hash = try FileHash.sha256(of: unet)
            #expect(try model("Model: nosuch, Model hash: \(hash.prefix(10))") == unet)
            #expect(try model("Model: nosuch, Model hash: \(hash.prefix(8).uppercased())") == unet)
            #expect(try model("Model: unet") == unet)
            let adapter = try FileHash.sha256(of: lora).prefix(10)
            for fields in [
                "Model: nosuch, Model hash: ", "Model hash: , Model: nosuch", "Model hash:  ",
                "Model: nosuch, Model hash: \(hash.prefix(7))",
                "Model: nosuch, Model hash: zzzzzzzzzz",
                "Model: nosuch, Model hash: \(hash)00", "Model: a", "Model: b", "Model: c",
                "Model: a, Model hash: \(adapter)", "Model: nosuch, Model hash: \(adapter)",
                "Model: ", "Model: .safetensors",
            ] {
                #expect(try model(fields) == nil, "\(fields)")
            }
            // An empty digest does not match a textual inversion either.
            let text = "{\"prompt\": \"a\", \"embedding\": [\"none:\", \"none:b\", \"none\"]}"
            let error = #expect(throws: InputError.self) {
                try recipe("tessera", text, in: folder) { $0.loraFolder = models }
            }
            #expect(error?.problem.contains("textual inversion 'none'") == true)
        }
    }

    /// Names lead only to files beside the picture and in folders that the user names.
    @Test func recordedPathsAreOnlyNames() throws {
        try inTemporaryFolder { root in
            let folder = "\(root)/inner"
            try FileManager.default.createDirectory(
                atPath: "\(folder)/sub",
                withIntermediateDirectories: true
            )
            for name in ["out.safetensors", "inner/in.safetensors", "inner/sub/deep.safetensors"] {
                try FileManager.default.copyItem(
                    atPath: "\(fixtures)/sd15-tiny/vae/diffusion_pytorch_model.safetensors",
                    toPath: "\(root)/\(name)"
                )
            }
            #expect(mkfifo("\(folder)/pipe.safetensors", 0o600) == 0)
            #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
            let digest = try FileDigest.of("\(folder)/in.safetensors", cache: nil)
            /// Flags for each kind of file with that name; a picture of Tessera is not repeated without its files.
            func found(_ name: String, digest: String = "0123456789abcdef") -> [String] {
                let fields: [String: JSON] = [
                    "vae": .string(name), "base": .string(name), "refiner": .string("\(name):0.8"),
                    "lora": .array([.string("\(name):0.5")]),
                    "embedding": .array([.string("\(name):\(digest)")]),
                ]
                return fields.flatMap { key, value in
                    let text = JSON.object([key: value]).text
                    let words = (try? recipe("tessera", text, in: folder))?.arguments ?? []
                    return words.filter { $0.hasPrefix("--\(key)=") }
                }
            }
            for name in [
                "../out.safetensors", "\(root)/out.safetensors", "out.safetensors", "..", ".", "/",
                "", "../inner/..", "/dev/zero", "/etc/passwd", "../../../../../etc/passwd", "pipe",
                "pipe.safetensors", "deep.safetensors", "in\u{0}.safetensors",
                "in.safetensors\u{0}",
                "in.safetensors\n",
                String(repeating: "a", count: 300),
            ] { #expect(found(name) == [], "\(name)") }
            // Only the last part of a path counts, whatever folders precede it.
            for name in ["in.safetensors", "/etc/in.safetensors", "..\\in.safetensors"] {
                let words = found(name, digest: digest)
                #expect(words.count == 5, "\(name): \(words)")
                for word in words { #expect(word.contains("\(folder)/in.safetensors")) }
            }
            // Init images need their digest as well.
            let photo = try RepeatTests.picture([], in: root)
            let seen = try FileDigest.of(photo, cache: nil)
            try FileManager.default.copyItem(atPath: photo, toPath: "\(folder)/photo.png")
            try "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
                .write(toFile: "\(folder)/pointer.png", atomically: true, encoding: .utf8)
            for (name, digest) in [
                ("../old.png", seen), (photo, seen), ("..", seen), ("pipe", seen),
                ("photo.png", "00"), ("photo.png", ""), ("photo.png", nil), ("pointer.png", nil),
            ] as [(String, String?)] {
                var fields = ["init-image": JSON.string(name)]
                fields["init-image-digest"] = digest.map(JSON.string)
                let error = #expect(throws: InputError.self, "\(name)") {
                    _ = try recipe("tessera", JSON.object(fields).text, in: folder)
                }
                #expect("\(error as Any)".contains("--init-image"))
            }
            let fields = ["init-image": "x/photo.png", "init-image-digest": seen]
            let text = JSON.object(fields.mapValues(JSON.string)).text
            let words = try recipe("tessera", text, in: folder).arguments
            #expect(words.contains("--init-image=\(folder)/photo.png"), "\(words)")
        }
    }

    private func graph(_ nodes: [String: Any]) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: nodes), as: UTF8.self)
    }

    private func node(_ type: String, _ inputs: [String: Any]) -> [String: Any] {
        ["class_type": type, "inputs": inputs]
    }

    /// Every input of a node refers to the node itself: seven ways on at each of sixteen steps.
    @Test func aGraphThatRefersToItselfEnds() throws {
        let names = ["value", "text", "string", "seed", "noise_seed", "int", "float"]
        let flags = [
            "seed", "steps", "cfg", "positive", "negative", "latent_image", "model",
            "sampler_name", "scheduler", "denoise",
        ]
        func inputs(_ names: [String], _ id: String) -> [String: Any] {
            Dictionary(uniqueKeysWithValues: names.map { ($0, [id, 0] as [Any]) })
        }
        for count in [1, 40] {
            var nodes = ["0": node("KSampler", inputs(flags, "1"))]
            for i in 1...count {
                nodes["\(i)"] = node(
                    "X",
                    inputs(names + ["model", "positive"], "\(i % count + 1)")
                )
            }
            let found = try recipe("prompt", try graph(nodes))
            #expect(found.warnings.contains { $0.contains("seed") }, "\(found.warnings)")
        }
        // A value several nodes away is found.
        let chain = try graph([
            "0": node("KSampler", ["seed": ["1", 0], "latent_image": ["9", 0]]),
            "1": node("Reroute", ["": ["2", 0]]), "2": node("X", ["int": ["3", 0]]),
            "3": node("PrimitiveNode", ["value": 77]),
        ])
        #expect(try recipe("prompt", chain).arguments.contains("--seed=77"))
    }

    /// Many samplers, each behind a long chain of nodes that pass on its latent, or behind one node with many inputs.
    @Test func largeGraphsAreBounded() throws {
        var nodes: [String: Any] = [:]
        for i in 0..<4999 { nodes["\(i)"] = node("KSampler", ["latent_image": ["5000", 0]]) }
        for i in 5000..<9999 { nodes["\(i)"] = node("Reroute", ["": ["\(i + 1)", 0]]) }
        nodes["9999"] = node("Reroute", ["": ["5000", 0]])
        let found = try recipe("prompt", try graph(nodes))
        #expect(found.warnings.count == 51, "\(found.warnings.count)")
        #expect(found.warnings.last?.contains("other things") == true, "\(found.warnings)")
        let inputs = (0..<200_000).map { ("a\($0)", ["5000", 0] as [Any]) }
        nodes["5000"] = node("Reroute", Dictionary(uniqueKeysWithValues: inputs))
        #expect(try !recipe("prompt", try graph(nodes)).warnings.isEmpty)
        // LoRA loaders chained in a circle.
        var loaders: [String: Any] = ["0": node("KSampler", ["model": ["1", 0]])]
        for i in 1...9000 {
            let inputs: [String: Any] = ["lora_name": "l\(i)", "model": ["\(i % 9000 + 1)", 0]]
            loaders["\(i)"] = node("LoraLoader", inputs)
        }
        #expect(
            try recipe("prompt", try graph(loaders)).warnings.contains { $0.contains("first 100") }
        )
        for i in 10_000..<10_003 { nodes["\(i)"] = node("X", [:]) }
        let error = #expect(throws: InputError.self) {
            _ = try recipe("prompt", try graph(nodes))
        }
        #expect("\(error as Any)".contains("10002 nodes"), "\(error as Any)")
    }

    /// Lines that a regular expression would scan again from each of their characters.
    @Test func longLinesAreReadOnce() throws {
        func times(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
        for text in [
            times("a", 400_000), "a lake\n" + times("a ", 300_000),
            "a\n" + times(" ", 400_000) + "x",
            "a\(line), Foo: \"" + times("\\", 400_001), "a\n" + times("aa: \"", 100_000),
            "a\n" + times(":", 400_000), "a\n" + times("aa:,", 200_000),
        ] { _ = Infotext(text) }
        let many = (0..<100_000).map { "Hires \($0): x, K\($0): y" }.joined(separator: ", ")
        #expect(Infotext("a\n\(many)").fields.count == 200_000)
        let found = try recipe("parameters", "a\(line), \(many.prefix(1_000_000))")
        #expect(found.warnings.count <= 51)
        let tags = try recipe("parameters", times("<lora:x:1>", 50_000) + line)
        #expect(tags.arguments.contains("--prompt="), "\(tags.arguments.map { $0.prefix(40) })")
    }

    /// The parser finds the same fields as A1111's regular expression, in random lines of the characters that matter.
    @Test func fieldsAreThoseOfThePattern() {
        let pattern = /\s*(\w[\w \-\/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/
        var random = SplitMix(18)
        let letters = Array("aB9_ -/:::,,\"\\.\t")
        var count = 0
        for _ in 0..<20_000 {
            let line = String(
                (0..<Int(random.next() % 30)).map { _ in
                    letters[Int(random.next() % UInt64(letters.count))]
                }
            )
            let found = line.matches(of: pattern).map { (String($0.1), String($0.2)) }
            let own = Infotext.pairs(of: line)
            count += found.count
            #expect(
                own.map(\.key) == found.map(\.0) && own.map(\.value) == found.map(\.1),
                "\(line.debugDescription): \(own) \(found)"
            )
        }
        #expect(count > 5000)
    }
}

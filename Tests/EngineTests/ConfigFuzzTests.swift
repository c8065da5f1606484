import Engine
import Foundation
import TestSupport
import Testing

/// Every key of every configuration of a model, set to extreme values: the model is read and described as for a render,
/// or refused with one line that names the file and the key. Runs in this process: a trap, a hang or a huge allocation
/// ends the tests.
@Suite(.serialized) struct ConfigFuzzTests {
    /// A configuration file of a model, whose keys are changed.
    struct Target: Sendable, CustomStringConvertible {
        let model: String
        let file: String
        var description: String { "\(model)/\(file)" }
    }

    static let targets: [Target] =
        [
            "model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json",
            "text_encoder_2/config.json", "scheduler/scheduler_config.json",
            "tokenizer/tokenizer_config.json",
        ].map { Target(model: "sdxl-tiny", file: $0) }
        + ["unet/config.json", "scheduler/scheduler_config.json"].map {
            Target(model: "sd21-tiny", file: $0)
        }

    /// Values as JSON text. After the first six, none is a valid number in a configuration.
    static let extremes: [String] = [
        "0", "1", "2", "3", "0.5", "-1",
        "2147483647", "2147483648", "4294967295", "4294967296", "1099511627776",
        "9007199254740992", "9223372036854775807", "-2147483648", "-1099511627776", "1e300",
        "-1e300", "1e-300", "-1e-6", "NaN", "Infinity", "-Infinity", "null", "true", "false",
        "\"\"", "\"word\"", "[]", "{}", "[1]", "[-1]", "[1099511627776]", "[2147483648, 1]",
        "[[1], [2]]", "[null, null]", "[\"a\", \"b\"]",
        "[\(Array(repeating: "1", count: 100_000).joined(separator: ","))]",
    ]

    /// Keys of published configurations that the fixtures lack.
    static let more = [
        "unet/config.json": [
            "num_class_embeds", "mid_block_type", "reverse_transformer_layers_per_block",
            "time_cond_proj_dim", "an_unknown_key",
        ],
        "vae/config.json": [
            "latents_mean", "latents_std", "shift_factor", "scaling_factor", "an_unknown_key",
        ],
        "scheduler/scheduler_config.json": [
            "set_alpha_to_one", "original_inference_steps", "timestep_scaling", "solver_order",
            "lambda_min_clipped", "algorithm_type", "an_unknown_key",
        ],
        "tokenizer/tokenizer_config.json": ["added_tokens_decoder"],
    ]

    @Test(arguments: targets) func everyKeyAtItsExtremes(_ target: Target) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: "\(SingleFileLayout.ownFixtures)/\(target.model)",
                toPath: copy
            )
            let path = "\(copy)/\(target.file)"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let whole = try #require(JSON(text.utf8, place: path).object)
            let keys = Set(whole.keys).union(Self.more[target.file] ?? []).sorted()
            let before = try peakMemory()
            var refused = 0
            for (at, key) in keys.enumerated() {
                for value in Self.values(forKey: at) {
                    try Self.text(whole, key, value).write(
                        toFile: path,
                        atomically: false,
                        encoding: .utf8
                    )
                    let start = ContinuousClock.now
                    do {
                        try Self.use(copy)
                    } catch let error as InputError {
                        refused += 1
                        try expectNamed("\(error)", key, value, target, copy)
                    }
                    let time = ContinuousClock.now - start
                    #expect(time < .seconds(5), "\(key): \(value.prefix(40)) took \(time)")
                }
            }
            #expect(refused > 0)
            let grown = try peakMemory() - before
            // Other suites in this process allocate memory at the same time.
            #expect(grown < 1_000_000_000, "\(grown) bytes more for \(target)")
        }
    }

    /// All extremes with TESSERA_FUZZ=all, as in `make fuzz`; otherwise a few, different ones for each key.
    private static func values(forKey index: Int) -> [String] {
        guard ProcessInfo.processInfo.environment["TESSERA_FUZZ"] != "all" else {
            return extremes
        }
        var mutator = Mutator(seed: UInt64(index))
        return (0..<4).map { _ in extremes[mutator.below(extremes.count)] }
    }

    /// What a coordinator does with a model before it starts a worker, without reading the weights.
    private static func use(_ path: String) throws {
        let model = try Model(path: path)
        try model.check(ModelNeeds(encoder: true, texts: true))
        let config = try model.schedulerConfig()
        for kind in [config.defaultKind, .ddim, .dpmSolver] {
            _ = try? Scheduler(kind, config: config, steps: 4)
        }
        _ = try model.tokenizer(.textEncoder).encode("a prompt")
    }

    /// The error must name the file, and also the key unless its value could be right and conflicts with something
    /// else: then the error names that.
    private func expectNamed(
        _ message: String,
        _ key: String,
        _ value: String,
        _ target: Target,
        _ folder: String
    ) throws {
        #expect(message.contains(folder), "\(key) = \(value.prefix(40)): \(message)")
        let isPlausible =
            Self.extremes.prefix(6).contains(value) || value.hasPrefix("[")
            || ["true", "false", "\"word\"", "\"\"", "null", "{}"].contains(value)
        guard !isPlausible else { return }
        // If two keys must agree, the error names the one that is read later.
        let partners = ["norm_num_groups": "block_out_channels"]
        #expect(
            message.contains(key) || partners[key].map(message.contains) == true,
            "\(key) = \(value.prefix(40)): \(message)"
        )
    }

    /// The configuration with one value changed.
    private static func text(_ whole: [String: JSON], _ key: String, _ value: String) -> String {
        var members = whole.filter { $0.key != key }.map { "\"\($0.key)\": \(write($0.value))" }
        members.append("\"\(key)\": \(value)")
        return "{\(members.joined(separator: ", "))}"
    }

    private static func write(_ json: JSON) -> String {
        switch json {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value): Int(exactly: value).map(String.init) ?? "\(value)"
        case .string(let value): "\"\(value)\""
        case .array(let items): "[\(items.map(write).joined(separator: ", "))]"
        case .object(let members):
            "{\(members.map { "\"\($0.key)\": \(write($0.value))" }.joined(separator: ", "))}"
        }
    }

    /// Peak memory of this process, in bytes.
    private func peakMemory() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        let number = line.split(separator: " ").compactMap { Int($0) }.first
        return 1024 * (try #require(number))
    }
}

/// Values that once crashed the process, or whose error blamed something else.
@Suite struct ConfigFaultTests {
    /// The file, the key, its value, and what the error must say besides the file and the key.
    @Test(arguments: [
        ("unet", "cross_attention_dim", "-1", "from 1 to"),
        ("unet", "cross_attention_dim", "2147483648", "from 1 to"),
        ("unet", "transformer_layers_per_block", "2147483648", "from 1 to"),
        ("unet", "transformer_layers_per_block", "[1, 2, 2147483648]", "from 1 to"),
        ("unet", "out_channels", "2147483648", "from 1 to"),
        ("unet", "out_channels", "8", "latents of the VAE have 4"),
        ("unet", "in_channels", "16", "weights take 4"),
        ("unet", "in_channels", "9", "weights take 4"), ("unet", "in_channels", "7", "enlarges"),
        ("unet", "norm_eps", "-1e-5", "-1e-05"), ("unet", "norm_eps", "0", "it is 0"),
        ("unet", "mid_block_type", "\"word\"", "not supported"),
        ("unet", "sample_size", "1000000", "from 1 to"),
        ("unet", "freq_shift", "Infinity", "inf"),
        ("unet", "addition_embed_type", "null", "Stable Diffusion XL"),
        ("unet", "projection_class_embeddings_input_dim", "97", "pooled"),
        ("vae", "out_channels", "1099511627776", "not 3"),
        ("vae", "block_out_channels", "[1099511627776, 64, 64, 64]", "from 1 to"),
        ("vae", "latent_channels", "8", "8 channels"),
        ("vae", "scaling_factor", "0", "it is 0"), ("vae", "layers_per_block", "0", "it is 0"),
        ("text_encoder", "layer_norm_eps", "-1", "it is -1"),
        ("text_encoder", "num_hidden_layers", "2147483648", "from 1 to"),
        ("text_encoder", "vocab_size", "1099511627776", "from 3 to"),
    ])
    func areNamed(part: String, key: String, value: String, words: String) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(
                atPath: "\(SingleFileLayout.ownFixtures)/sdxl-tiny",
                toPath: copy
            )
            let path = "\(copy)/\(part)/config.json"
            var members = try #require(
                JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
                    as? [String: Any]
            )
            members[key] = nil
            var text = String(
                decoding: try JSONSerialization.data(withJSONObject: members),
                as: UTF8.self
            )
            text.removeLast()
            try "\(text), \"\(key)\": \(value)}".write(
                toFile: path,
                atomically: true,
                encoding: .utf8
            )
            let error = #expect(throws: InputError.self) {
                try Model(path: copy).check(ModelNeeds(encoder: false, texts: true))
            }
            let message = "\(try #require(error))"
            // If two files disagree, the error names the UNet's key.
            let partner = key == "latent_channels" ? "in_channels" : key
            #expect(message.contains(words) && message.contains(copy), "\(message)")
            #expect(message.contains(partner), "\(message)")
        }
    }
}

import Engine
import Foundation

/// Where the parity fixtures are, and what they contain.
///
/// Tests take the list of networks, sizes and settings from these files, never from their own source.
package enum Fixtures {
    /// `$TESSERA_FIXTURES`, or else `Tests/Fixtures` of this package.
    package static let folder: String =
        ProcessInfo.processInfo.environment["TESSERA_FIXTURES"] ?? "\(packageRoot)/Tests/Fixtures"

    /// The folder that holds Package.swift.
    package static let packageRoot: String = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// Every network with expected tensors: the `expected/*.json` files that name a `kind`.
    package static let networks: [NetworkFixture] = {
        let expected = "\(folder)/expected"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: expected)) ?? []
        return files.filter { $0.hasSuffix(".json") }.sorted().compactMap { file in
            NetworkFixture(settings: "\(expected)/\(file)")
        }
    }()
}

/// A checkpoint, and the tensors that the reference computes from it.
package struct NetworkFixture: Sendable, CustomStringConvertible {
    /// Kind of model, as named in the settings.
    package let kind: String
    /// Positive and negative prompt of the expected encodings.
    package let prompt: String, negative: String
    /// The prompts whose tokens are expected.
    package let prompts: [String]
    /// Whole DemoFusion runs, by name.
    package let runs: [RunFixture]
    private let tensorFile: String

    package var description: String { kind }

    fileprivate init?(settings file: String) {
        guard let data = FileManager.default.contents(atPath: file),
            let settings = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let kind = settings["kind"] as? String
        else { return nil }
        self.kind = kind
        prompt = settings["prompt"] as? String ?? ""
        negative = settings["negative"] as? String ?? ""
        prompts = settings["prompts"] as? [String] ?? []
        runs = settings.keys.filter { $0.hasPrefix("run.") }.sorted().compactMap { key in
            (settings[key] as? [String: Any]).flatMap { RunFixture(name: key, settings: $0) }
        }
        tensorFile = file.dropLast(".json".count) + ".safetensors"
    }

    /// `<kind>-tiny` next to the expected tensors, or else `<kind>`, or else `Models/<kind>`.
    package var checkpoint: String {
        let places = [
            "\(Fixtures.folder)/\(kind)-tiny", "\(Fixtures.folder)/\(kind)",
            "\(Fixtures.packageRoot)/Models/\(kind)",
        ]
        return places.first { FileManager.default.fileExists(atPath: $0) } ?? places[0]
    }

    /// The expected tensors.
    package func tensors() throws -> SafeTensors { try SafeTensors(file: tensorFile) }

    /// The numbers j for which the tensor `prefix.j.suffix` exists.
    package func indices(of prefix: String, _ suffix: String) throws -> [Int] {
        try tensors().names.compactMap { name in
            let parts = name.split(separator: ".")
            guard parts.count == 3, parts[0] == prefix, parts[2] == suffix else { return nil }
            return Int(parts[1])
        }.sorted()
    }
}

/// One whole DemoFusion run: its settings, and the prefix of its tensors.
package struct RunFixture: Sendable, CustomStringConvertible {
    /// Prefix of the run's tensors, such as `run.2x`.
    package let name: String
    package let steps: Int, stride: Int, guidance: Double, sigma: Double
    package let cosine: [Double]
    /// Size of the last phase's latent.
    package let height: Int, width: Int
    /// Scales of the phases, from 1.
    package let scales: [Int]

    package var description: String { name }

    fileprivate init?(name: String, settings: [String: Any]) {
        guard let steps = settings["steps"] as? Int, let stride = settings["stride"] as? Int,
            let guidance = settings["guidance"] as? Double,
            let sigma = settings["sigma"] as? Double,
            let cosine = settings["cosine"] as? [Double],
            let sizes = settings["sizes"] as? [[Int]], let last = sizes.last, last.count == 3
        else { return nil }
        self.name = name
        (self.steps, self.stride, self.guidance, self.sigma) = (steps, stride, guidance, sigma)
        self.cosine = cosine
        (height, width) = (last[1], last[2])
        scales = [1] + sizes.map { $0[0] }
    }
}

/// Whole refinement runs on one checkpoint, and the reference's results.
package struct RefineFixture: Sendable, CustomStringConvertible {
    /// One run, and the prefix of its tensors.
    package struct Run: Sendable, CustomStringConvertible {
        package let name: String
        /// One of the program's schedulers, or `sgm_uniform`: Euler's method with SGM-uniform timesteps.
        package let scheduler: String
        package let steps: Int, stride: Int
        package let start: Double, noise: Double, guidance: Double
        /// Size of the last stage's latent.
        package let height: Int, width: Int
        /// Scales of the phases, from 1.
        package let scales: [Int]

        package var description: String { name }
    }

    /// Folder of the checkpoint.
    package let checkpoint: String
    package let prompt: String, negative: String
    /// Steps and guidance scale of phase 1.
    package let steps: Int, guidance: Double
    package let runs: [Run]
    private let tensorFile: String

    package var description: String { checkpoint.split(separator: "/").last.map(String.init) ?? "" }

    /// The expected tensors.
    package func tensors() throws -> SafeTensors { try SafeTensors(file: tensorFile) }

    fileprivate init?(settings file: String) {
        guard let data = FileManager.default.contents(atPath: file),
            let settings = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let checkpoint = settings["checkpoint"] as? String,
            let steps = settings["steps"] as? Int, let guidance = settings["guidance"] as? Double,
            let runs = settings["runs"] as? [String: [String: Any]]
        else { return nil }
        self.checkpoint = "\(Fixtures.folder)/\(checkpoint)"
        prompt = settings["prompt"] as? String ?? ""
        negative = settings["negative"] as? String ?? ""
        (self.steps, self.guidance) = (steps, guidance)
        self.runs = runs.sorted { $0.key < $1.key }.compactMap { name, run in
            guard let scheduler = run["scheduler"] as? String, let steps = run["steps"] as? Int,
                let stride = run["stride"] as? Int, let start = run["start"] as? Double,
                let noise = run["noise"] as? Double, let guidance = run["guidance"] as? Double,
                let sizes = run["sizes"] as? [[Int]], let last = sizes.last, last.count == 3
            else { return nil }
            return Run(
                name: name,
                scheduler: scheduler,
                steps: steps,
                stride: stride,
                start: start,
                noise: noise,
                guidance: guidance,
                height: last[1],
                width: last[2],
                scales: [1] + sizes.map { $0[0] }
            )
        }
        tensorFile = file.dropLast(".json".count) + ".safetensors"
    }
}

extension Fixtures {
    /// Every checkpoint with expected refinements: the `expected/refine-*.json` files.
    package static let refinements: [RefineFixture] = {
        let expected = "\(folder)/expected"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: expected)) ?? []
        return files.filter { $0.hasPrefix("refine-") && $0.hasSuffix(".json") }.sorted()
            .compactMap { RefineFixture(settings: "\(expected)/\($0)") }
    }()
}

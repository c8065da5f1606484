import Engine
import Foundation

/// Where the parity fixtures are and what they hold.
///
/// Tests take the list of networks, sizes and settings from the files, never from their own text.
package enum Fixtures {
    /// `$TESSERA_FIXTURES`, else `Tests/Fixtures` of this package.
    package static let folder: String =
        ProcessInfo.processInfo.environment["TESSERA_FIXTURES"] ?? "\(packageRoot)/Tests/Fixtures"

    /// The folder that holds Package.swift.
    package static let packageRoot: String = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// Every network with expected tensors: the `expected/*.json` that name a `kind`.
    package static let networks: [NetworkFixture] = {
        let expected = "\(folder)/expected"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: expected)) ?? []
        return files.filter { $0.hasSuffix(".json") }.sorted().compactMap { file in
            NetworkFixture(settings: "\(expected)/\(file)")
        }
    }()
}

/// One checkpoint with the tensors that the reference computes from it.
package struct NetworkFixture: Sendable, CustomStringConvertible {
    /// The kind that the settings name.
    package let kind: String
    /// The positive prompt of the expected encodings, and the negative one.
    package let prompt: String, negative: String
    /// The prompts whose tokens are expected.
    package let prompts: [String]
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
        tensorFile = file.dropLast(".json".count) + ".safetensors"
    }

    /// `<kind>-tiny` beside the expected tensors, else `<kind>`, else `Models/<kind>`.
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

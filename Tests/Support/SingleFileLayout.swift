import Foundation

/// Which tensors a single file in the original layout has, and where each comes from in a Diffusers folder, as recorded
/// by `Training/reference/single_file.py`, whose mapping is independent of Tessera's.
package struct SingleFileLayout: Sendable, CustomStringConvertible {
    package struct Entry: Sendable {
        package let component: String
        /// Names in the folder: three for stacked queries, keys and values; none for extras.
        package let sources: [String]
        package let operation: String
        package let shape: [Int]
    }

    package let kind: String
    /// Entries by their name in the file.
    package let entries: [String: Entry]
    package var description: String { kind }

    /// Folder of the fixtures that only this package has; `$TESSERA_FIXTURES` may hold others.
    package static let ownFixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"
    package static let kinds = ["sd15", "sd21", "sdxl"]

    /// Reads the list of a kind; `size` is `fixture` or `published`.
    package init(_ kind: String, size: String) throws {
        self.kind = kind
        let file = "\(Self.ownFixtures)/single-file/\(kind).json"
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        let all = try JSONSerialization.jsonObject(with: data) as? [String: [String: [Any]]]
        entries = (all?[size] ?? [:]).compactMapValues { fields in
            guard fields.count == 4, let component = fields[0] as? String,
                let operation = fields[2] as? String, let shape = fields[3] as? [Int]
            else { return nil }
            let sources = fields[1] as? [String] ?? (fields[1] as? String).map { [$0] } ?? []
            return Entry(
                component: component,
                sources: operation == "extra" ? [] : sources,
                operation: operation,
                shape: shape
            )
        }
    }

    /// The fixture folder that the list belongs to.
    package var folder: String { "\(Self.ownFixtures)/\(kind)-tiny" }

    /// Tensors of the single file, made from those of the folder.
    package func tensors() throws -> [String: RawTensor] {
        var parts: [String: [String: RawTensor]] = [:]
        for component in Set(entries.values.map(\.component)) where !component.isEmpty {
            let stem = component.hasPrefix("text") ? "model" : "diffusion_pytorch_model"
            parts[component] = try RawTensor.read("\(folder)/\(component)/\(stem).safetensors")
        }
        return entries.mapValues { entry in
            let sources = entry.sources.compactMap { parts[entry.component]?[$0] }
            guard let first = sources.first, sources.count == entry.sources.count else {
                return RawTensor(zeros: entry.shape)
            }
            var tensor = entry.operation == "transpose" ? first.transposed() : first
            tensor.bytes += sources.dropFirst().flatMap(\.bytes)
            tensor.shape = entry.shape
            return tensor
        }
    }

    /// Writes the single file.
    package func write(to path: String) throws { try RawTensor.write(try tensors(), to: path) }
}

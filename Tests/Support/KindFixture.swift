import Engine
import Foundation

/// A tiny model of a kind other than plain Stable Diffusion, and what Diffusers computes with it
/// (`Training/reference/make_kind_fixtures.py`).
package struct KindFixture: Sendable, CustomStringConvertible {
    package let name: String
    /// Checkpoint with the parts that the kind's own folder lacks.
    package let base: String
    package let steps: Int, guidance: Double
    package let prompt: String, negative: String
    /// Where the refiner takes over; nil for kinds other than refiners.
    package let start: Double?

    package var description: String { name }
    package static let folder = "\(SingleFileLayout.ownFixtures)/kinds"

    package static let all: [KindFixture] = {
        let data = FileManager.default.contents(atPath: "\(folder)/kinds.json") ?? Data()
        let json = try? JSONSerialization.jsonObject(with: data) as? [String: [String: Any]]
        return (json ?? [:]).sorted { $0.key < $1.key }.compactMap { name, fields in
            guard let base = fields["base"] as? String, let steps = fields["steps"] as? Int,
                let guidance = fields["guidance"] as? Double,
                let prompt = fields["prompt"] as? String,
                let negative = fields["negative"] as? String
            else { return nil }
            return KindFixture(
                name: name,
                base: "\(SingleFileLayout.ownFixtures)/\(base)",
                steps: steps,
                guidance: guidance,
                prompt: prompt,
                negative: negative,
                start: fields["start"] as? Double
            )
        }
    }()

    package static func named(_ name: String) throws -> KindFixture {
        guard let found = all.first(where: { $0.name == name }) else {
            throw CocoaError(.fileNoSuchFile)
        }
        return found
    }

    /// Folder of the kind's own files.
    package var own: String { "\(Self.folder)/\(name)" }
    /// Kind of the base, as named in the expected tensors.
    package var family: String { base.hasSuffix("sdxl-tiny") ? "sdxl" : "sd15" }

    package static func expected() throws -> SafeTensors {
        try SafeTensors(file: "\(folder)/expected.safetensors")
    }

    /// Makes a folder in Diffusers layout: the kind's own files, and links to the base's for all others.
    package func assemble(in folder: String) throws -> String {
        let files = FileManager.default
        let path = "\(folder)/\(name)"
        try files.copyItem(atPath: own, toPath: path)
        for item in try files.contentsOfDirectory(atPath: base) {
            guard files.fileExists(atPath: "\(path)/\(item)") else {
                try files.createSymbolicLink(
                    atPath: "\(path)/\(item)",
                    withDestinationPath: "\(base)/\(item)"
                )
                continue
            }
            // The kind has its own configuration for the base's weights.
            let weights = "diffusion_pytorch_model.safetensors"
            let isVAE = item == "vae" && !files.fileExists(atPath: "\(path)/vae/\(weights)")
            if isVAE {
                try files.copyItem(
                    atPath: "\(base)/vae/\(weights)",
                    toPath: "\(path)/vae/\(weights)"
                )
            }
        }
        return path
    }
}

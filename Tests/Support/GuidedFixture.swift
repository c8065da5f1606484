import Engine
import Foundation

/// Tiny models whose UNets take a picture in addition to the latent, and what Diffusers' pipelines make with them
/// (`Training/reference/make_guided_fixtures.py`).
package struct GuidedFixture: Decodable, Sendable {
    package struct Run: Decodable, Sendable, CustomStringConvertible {
        package let name: String
        /// Kind of the checkpoint that provides all but the first layer, and `inpaint` or `edit`.
        package let model: String, use: String
        package let scheduler: String
        package let steps: Int
        /// Strength (`inpaint`) or image guidance scale (`edit`).
        package let share: Double
        package let guidance: Double
        package var description: String { name }
    }

    package let prompt: String, negative: String
    package let runs: [Run]

    package static let folder = "\(SingleFileLayout.ownFixtures)/inpaint"
    package static let uses = ["inpaint", "edit"]
    package static let all = try? JSONDecoder().decode(
        GuidedFixture.self,
        from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/guided.json"))
    )

    package static func expected() throws -> SafeTensors {
        try SafeTensors(file: "\(folder)/guided.safetensors")
    }

    /// The UNet's first layer.
    package static func firstLayer(_ kind: String, _ use: String) throws -> RawTensor {
        guard
            let found = try RawTensor.read("\(folder)/inputs.safetensors")["\(kind).\(use)"]
        else { throw CocoaError(.fileNoSuchFile) }
        return found
    }

    /// Makes a folder in Diffusers layout, for the pipeline that published models of this kind name.
    ///
    /// - Parameters:
    ///   - kind: kind of the checkpoint that provides all but the first layer
    ///   - use: `inpaint` or `edit`
    ///   - folder: folder to make it in
    /// - Returns: its path
    /// - Throws: if a file cannot be read or written
    package static func assemble(_ kind: String, _ use: String, in folder: String) throws -> String
    {
        let (files, base) = (FileManager.default, "\(SingleFileLayout.ownFixtures)/\(kind)-tiny")
        let path = "\(folder)/\(kind)-\(use)"
        try files.createDirectory(atPath: "\(path)/unet", withIntermediateDirectories: true)
        for item in try files.contentsOfDirectory(atPath: base)
        where item != "unet" && item != "model_index.json" {
            try files.createSymbolicLink(
                atPath: "\(path)/\(item)",
                withDestinationPath: "\(base)/\(item)"
            )
        }
        let first = try firstLayer(kind, use)
        let weights = "unet/diffusion_pytorch_model.safetensors"
        var tensors = try RawTensor.read("\(base)/\(weights)")
        tensors["conv_in.weight"] = first
        try RawTensor.write(tensors, to: "\(path)/\(weights)")
        let pipeline =
            "StableDiffusion" + (kind == "sdxl" ? "XL" : "")
            + (use == "edit" ? "InstructPix2PixPipeline" : "InpaintPipeline")
        for (file, key, value) in [
            ("unet/config.json", "in_channels", first.shape[1] as Any),
            ("model_index.json", "_class_name", pipeline as Any),
        ] {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(base)/\(file)"))
            var fields = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
            fields[key] = value
            try JSONSerialization.data(withJSONObject: fields)
                .write(to: URL(fileURLWithPath: "\(path)/\(file)"))
        }
        return path
    }
}

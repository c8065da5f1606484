import Foundation

/// Which models an adapter was made for.
extension AdapterFile {
    /// The families that it may have been made for, judging by its modules, widths or metadata; empty if nothing
    /// reveals them.
    var families: [ModelFamily] {
        let names = modules.map { ($0, $0.stem.replacing(".", with: "_")) }
        func has(_ component: Component, _ parts: String...) -> Bool {
            names.contains { module, name in
                module.component == component && parts.contains { name.contains($0) }
            }
        }
        // Blocks with attention: Stable Diffusion XL has none at full resolution, the others none at the lowest.
        let isXL =
            names.contains { $0.0.component == .textEncoder2 }
            || has(.unet, "up_blocks_0_attentions", "output_blocks_0_1_", "output_blocks_1_1_")
        let isFirst = has(
            .unet,
            "down_blocks_0_attentions",
            "up_blocks_3_",
            "down_blocks_3_",
            "input_blocks_1_1_",
            "input_blocks_2_1_",
            "output_blocks_9_",
            "output_blocks_10_",
            "output_blocks_11_"
        )
        if isXL { return [.sdxl] }
        let known = byWidths ?? byMetadata
        guard isFirst else { return known.map { [$0] } ?? [] }
        if let known, known != .sdxl { return [known] }
        return byProjection.map { [$0] } ?? [.sd1, .sd2]
    }

    /// The family according to the file's metadata.
    private var byMetadata: ModelFamily? {
        let told = ["ss_base_model_version", "modelspec.architecture"]
            .compactMap { file.metadata[$0]?.lowercased() }.joined(separator: " ")
        for (part, family) in [
            ("sdxl", ModelFamily.sdxl), ("stable-diffusion-xl", .sdxl), ("sd_v1", .sd1),
            ("stable-diffusion-v1", .sd1), ("sd_v2", .sd2), ("stable-diffusion-v2", .sd2),
        ] where told.contains(part) { return family }
        return nil
    }

    /// The family according to the input width of cross-attention, which is the width of the prompt's embeddings.
    private var byWidths: ModelFamily? {
        let widths: [Int: ModelFamily] = [768: .sd1, 1024: .sd2, 2048: .sdxl]
        for module in modules where module.component == .unet {
            let name = module.stem.replacing(".", with: "_")
            let shape = module.parts.shape(module.kind == .lora ? .down : .hadaW1B)
            guard name.contains("attn2"), name.hasSuffix("to_k"), shape.count > 1 else { continue }
            return widths[shape[1]]
        }
        return nil
    }

    /// The family according to the input of attention blocks: a convolution in Stable Diffusion 1, a linear layer in 2.
    private var byProjection: ModelFamily? {
        for module in modules where module.component == .unet && module.kind == .lora {
            guard module.stem.hasSuffix("proj_in") else { continue }
            return module.parts.shape(.down).count == 4 ? .sd1 : .sd2
        }
        return nil
    }
}

extension Model {
    /// Notices about the adapters for the user, one line each.
    package var adapterNotices: [String] {
        adapters.flatMap { adapter in
            let families = adapter.families
            let isForeign = !families.isEmpty && !families.contains(family)
            let name = URL(fileURLWithPath: adapter.file.path).lastPathComponent
            let line =
                "\(name) was made for \(families.names), and fits \(family.name) by chance: the picture may suffer"
            return [adapter.notice, isForeign ? line : nil].compactMap(\.self)
        }
    }
}

extension [ModelFamily] {
    /// The families' names, as shown to users.
    var names: String { map(\.name).joined(separator: " or ") }
}

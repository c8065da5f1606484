import Engine
import Foundation
import Sampling

extension PictureRecipe {
    /// Nodes that are followed, or that say nothing about the picture.
    private static let known: Set<String> = [
        "KSampler", "KSamplerAdvanced", "CLIPTextEncode", "CLIPTextEncodeSDXL", "EmptyLatentImage",
        "CheckpointLoaderSimple", "CheckpointLoader", "UNETLoader", "LoraLoader",
        "LoraLoaderModelOnly", "CLIPSetLastLayer", "VAEDecode", "VAELoader", "SaveImage",
        "PreviewImage", "Note", "MarkdownNote", "Reroute", "PrimitiveNode",
    ]

    /// Adds what a picture of ComfyUI says.
    ///
    /// - Throws: `InputError` for a graph without a sampler that is known
    mutating func add(_ graph: ComfyGraph) throws {
        let samplers = graph.sorted.filter { ["KSampler", "KSamplerAdvanced"].contains($0.type) }
        func isFirst(_ node: ComfyGraph.Node) -> Bool {
            graph.source(node, "latent_image")?.type == "EmptyLatentImage"
        }
        guard let sampler = samplers.first(where: isFirst) ?? samplers.first else {
            throw InputError(
                request.path,
                "its workflow of ComfyUI has no KSampler",
                fix: "Give the settings as flags"
            )
        }
        for other in samplers where other.id != sampler.id {
            warn("its \(other.type) \(other.id), after the first, is left out")
        }
        let kinds = Set(graph.nodes.values.map(\.type)).subtracting(Self.known)
        for kind in kinds.sorted() where kind != "LoadImage" && kind != "VAEEncode" {
            warn("its node \(kind) is not supported and left out")
        }
        add(numbers: sampler, graph)
        add(levels: sampler, graph)
        add(prompts: sampler, graph)
        add(size: sampler, graph)
        try add(networks: sampler, graph)
        let model = fittingModel()
        fit(levelsTo: model)
        fit(clipSkipTo: model)
    }

    private mutating func add(numbers sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        let seed = graph.value(sampler, "seed") ?? graph.value(sampler, "noise_seed")
        if let seed = seed?.integer, seed >= 0 {
            set(Settings.seed.name, "\(seed)")
        } else {
            warn("its seed cannot be read: give it with --seed")
        }
        set(Settings.steps.name, graph.value(sampler, "steps")?.integer.map { "\($0)" })
        set(Settings.guidance.name, graph.value(sampler, "cfg")?.number.map { "\($0)" })
        // ComfyUI draws noise on the CPU.
        set(Settings.random.name, RandomKind.torch.rawValue)
        let steps = graph.value(sampler, "steps")?.integer ?? 0
        let first = graph.value(sampler, "start_at_step")?.integer ?? 0
        let last = graph.value(sampler, "end_at_step")?.integer ?? .max
        if first > 0 || last < steps {
            warn("it runs only steps \(first) to \(min(last, steps)); here all are run")
        }
    }

    private mutating func add(levels sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        guard let name = graph.value(sampler, "sampler_name")?.string,
            !isGiven(Settings.scheduler.name)
        else { return }
        guard let kind = SamplerName(name)?.kind else {
            return warn("its sampler '\(name)' is not supported: the model's own is used")
        }
        let spacing = graph.value(sampler, "scheduler")?.string ?? "normal"
        let levels = SamplerName("euler \(spacing)")?.levels
        if levels == nil, spacing != "normal" {
            warn("its scheduler '\(spacing)' is not supported: the sampler's own levels are used")
        }
        if levels == .beta {
            warn(
                "its scheduler 'beta' is laid out as in A1111 and Diffusers, which differs slightly from ComfyUI"
            )
        }
        add(kind, levels, isLinear: spacing == "normal")
    }

    /// The text of a conditioning.
    private mutating func texts(
        _ sampler: ComfyGraph.Node,
        _ input: String,
        _ graph: ComfyGraph
    ) -> (first: String, second: String?)? {
        var node = graph.source(sampler, input)
        for _ in 0..<graph.nodes.count {
            guard let found = node else { return nil }
            switch found.type {
            case "CLIPTextEncode":
                return graph.value(found, "text")?.string.map { ($0, nil) }
            case "CLIPTextEncodeSDXL":
                let (l, g) = (
                    graph.value(found, "text_l")?.string ?? "",
                    graph.value(found, "text_g")?.string ?? ""
                )
                return (l, l == g ? nil : g)
            default:
                // It is named by a warning of its own.
                let next = ["conditioning", "conditioning_1", "conditioning_to", input]
                    .first { found.inputs[$0]?.array != nil }
                node = next.flatMap { graph.source(found, $0) }
            }
        }
        return nil
    }

    private mutating func add(prompts sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        guard let positive = texts(sampler, "positive", graph) else {
            return warn("its prompt cannot be read: give it with --prompt")
        }
        let negative = texts(sampler, "negative", graph)
        // Weights in round brackets are ComfyUI's, too; square ones mean nothing there.
        let all = [positive.first, positive.second, negative?.first, negative?.second]
            .compactMap(\.self)
        let isWeighted = all.contains { $0.contains("(") }
        func text(_ text: String?) -> String? {
            guard isWeighted else { return text }
            return text?.replacing("[", with: "\\[").replacing("]", with: "\\]")
        }
        if isWeighted {
            set(Settings.promptSyntax.name, PromptSyntax.a1111.rawValue)
            warn("weights of words are applied as A1111 does, which differs slightly from ComfyUI")
        }
        set("prompt", text(positive.first))
        set("prompt-2", text(positive.second))
        if let negative, !negative.first.isEmpty || negative.second != nil {
            set("negative-prompt", text(negative.first))
            set("negative-prompt-2", text(negative.second))
        } else if negative != nil {
            // ComfyUI encodes the empty prompt.
            set("negative-prompt", "")
        }
    }

    private mutating func add(size sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        let latent = graph.source(sampler, "latent_image")
        let denoise = graph.value(sampler, "denoise")?.number ?? 1
        guard let latent, latent.type == "EmptyLatentImage" else {
            let image = graph.nodes.values.first { $0.type == "LoadImage" }
                .flatMap { graph.value($0, "image")?.string }
            guard isGiven("init-image") else {
                return warn(
                    "it was made from \(image.map { "the picture '\($0)'" } ?? "another picture"): give it with --init-image"
                )
            }
            set(Settings.strength.name, "\(denoise)")
            set(Settings.fidelity.name, "0")
            return
        }
        if denoise < 1 { warn("its denoise of \(denoise) without a picture is left out") }
        if let width = graph.value(latent, "width")?.integer,
            let height = graph.value(latent, "height")?.integer
        {
            set(Settings.size.name, "\(width)x\(height)")
        }
        if let count = graph.value(latent, "batch_size")?.integer, count > 1 {
            warn(
                "it is one of a batch of \(count), whose noise is drawn together: only the first can be repeated"
            )
        }
    }

    private mutating func add(
        networks sampler: ComfyGraph.Node,
        _ graph: ComfyGraph
    ) throws(InputError) {
        var node = graph.source(sampler, "model")
        var loras: [(name: String, weights: String)] = []
        for _ in 0..<graph.nodes.count {
            guard let found = node else { break }
            if let name = graph.value(found, "lora_name")?.string {
                let unet = graph.value(found, "strength_model")?.number ?? 1
                let text = graph.value(found, "strength_clip")?.number ?? 0
                loras.append((name, unet == text ? "\(unet)" : "\(unet):te=\(text)"))
            } else if let name = graph.value(found, "ckpt_name")?.string
                ?? graph.value(found, "unet_name")?.string
            {
                try add(RecordedModel(name: name, hash: nil))
            }
            node = graph.source(found, "model")
        }
        for lora in loras.reversed() { try add(lora: lora.name, weights: lora.weights) }
        for node in graph.sorted {
            if node.type == "CLIPSetLastLayer",
                let layer = graph.value(node, "stop_at_clip_layer")?.integer
            {
                set(Settings.clipSkip.name, "\(-layer)")
            }
            if node.type == "VAELoader", let name = graph.value(node, "vae_name")?.string {
                try add(vae: name)
            }
        }
    }
}

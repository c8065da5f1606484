import Engine
import Foundation
import Sampling

extension PictureRecipe {
    /// Types of nodes that are followed, or that say nothing about the picture.
    private static let known: Set<String> = [
        "KSampler", "KSamplerAdvanced", "CLIPTextEncode", "CLIPTextEncodeSDXL", "EmptyLatentImage",
        "ConditioningZeroOut",
        "CheckpointLoaderSimple", "CheckpointLoader", "UNETLoader", "LoraLoader",
        "LoraLoaderModelOnly", "CLIPSetLastLayer", "VAEDecode", "VAELoader", "SaveImage",
        "PreviewImage", "Note", "MarkdownNote", "Reroute", "PrimitiveNode",
    ]

    /// Adds the settings of a ComfyUI picture.
    ///
    /// - Throws: `InputError` for a graph without a known sampler
    mutating func add(_ graph: ComfyGraph) throws {
        guard graph.nodes.count <= ComfyGraph.maxNodes else {
            throw InputError(
                request.path,
                "its workflow of ComfyUI has \(graph.nodes.count) nodes, and at most \(ComfyGraph.maxNodes) are read",
                fix: "Give the settings as flags"
            )
        }
        let samplers = graph.sorted.filter { ["KSampler", "KSamplerAdvanced"].contains($0.type) }
        func isFirst(_ node: ComfyGraph.Node) -> Bool {
            graph.source(node, "latent_image").map(graph.isEmptyLatent) ?? false
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
            .subtracting(holders(sampler, graph))
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

    /// Types of nodes that hold values that are read.
    private func holders(_ sampler: ComfyGraph.Node, _ graph: ComfyGraph) -> Set<String> {
        var read = [
            "seed", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "denoise",
            "start_at_step", "end_at_step",
        ].map { (sampler, $0) }
        var types = textHolders(graph)
        if let latent = graph.source(sampler, "latent_image"), graph.isEmptyLatent(latent) {
            read += ["width", "height", "batch_size"].map { (latent, $0) }
            types.append(latent.type)
        }
        types += graph.path(sampler, "model").filter { graph.modelName($0) != nil }.map(\.type)
        return Set(types + read.compactMap { graph.holder($0, $1)?.type })
    }

    private func textHolders(_ graph: ComfyGraph) -> [String] {
        graph.nodes.values.filter { $0.type.hasPrefix("CLIPTextEncode") }.flatMap { node in
            ["text", "text_l", "text_g"].compactMap { graph.holder(node, $0)?.type }
        }
    }

    /// Warns that a setting is present but cannot be read.
    private mutating func warn(unread what: String, _ flag: String) {
        if !isGiven(flag) { warn("its \(what) cannot be read: give it with --\(flag)") }
    }

    private mutating func add(numbers sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        let seed = graph.value(sampler, "seed") ?? graph.value(sampler, "noise_seed")
        // Above 2⁵³, JSON numbers are not exact.
        if let number = seed?.number, number < 0x1p53, let seed = seed?.integer, seed >= 0 {
            set(Settings.seed.name, "\(seed)")
        } else {
            warn(unread: "seed", Settings.seed.name)
        }
        if let steps = graph.value(sampler, "steps")?.integer {
            set(Settings.steps.name, "\(steps)")
        } else {
            warn(unread: "number of steps", Settings.steps.name)
        }
        if let guidance = graph.value(sampler, "cfg")?.number {
            set(Settings.guidance.name, "\(guidance)")
        } else {
            warn(unread: "cfg", Settings.guidance.name)
        }
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
        guard !isGiven(Settings.scheduler.name) else { return }
        guard let name = graph.value(sampler, "sampler_name")?.string else {
            return warn(unread: "sampler", Settings.scheduler.name)
        }
        guard let kind = SamplerName(name)?.kind else {
            return warn("its sampler '\(name)' is not supported: the model's own is used")
        }
        let named = graph.value(sampler, "scheduler")?.string
        if named == nil { warn("its scheduler cannot be read: the sampler's own levels are used") }
        let spacing = named ?? "normal"
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

    /// The texts behind a conditioning input.
    private mutating func texts(
        _ sampler: ComfyGraph.Node,
        _ input: String,
        _ graph: ComfyGraph
    ) -> (first: String, second: String?)? {
        var node = graph.source(sampler, input)
        var seen: Set<String> = []
        while let found = node, seen.insert(found.id).inserted {
            switch found.type {
            case "CLIPTextEncode":
                return graph.value(found, "text")?.string.map { ($0, nil) }
            case "CLIPTextEncodeSDXL":
                let (l, g) = (
                    graph.value(found, "text_l")?.string ?? "",
                    graph.value(found, "text_g")?.string ?? ""
                )
                return (l, l == g ? nil : g)
            case "ConditioningZeroOut":
                warn(
                    "its ConditioningZeroOut is taken for an empty text, which is encoded, where ComfyUI takes zeros"
                )
                return ("", nil)
            default:
                // A separate warning names this node.
                let next = ["conditioning", "conditioning_1", "conditioning_to", input]
                    .first { found.inputs[$0]?.array != nil }
                node = next.flatMap { graph.source(found, $0) }
            }
        }
        return nil
    }

    /// A ComfyUI prompt in A1111's syntax: whatever has a meaning only in A1111 is escaped. CLIP's tokenizer ignores
    /// case.
    static func plainButForWeights(_ text: String) -> String {
        var text = text.replacing("[", with: "\\[").replacing("]", with: "\\]")
        for word in ["BREAK", "AND"] { text = text.replacing(word, with: word.lowercased()) }
        for kind in ["lora", "lyco", "hypernet"] {
            text = text.replacing("<\(kind):", with: "<\(kind.uppercased()):")
        }
        // A number after a colon at the end would be the weight of the whole prompt.
        guard let end = text.firstMatch(of: /\s*:\s*[-+]?[0-9.]+\s*$/) else { return text }
        let words = text[end.range].trimmingCharacters(in: .whitespaces)
        return "\(text[..<end.range.lowerBound])(\(words):1.0)"
    }

    private mutating func add(prompts sampler: ComfyGraph.Node, _ graph: ComfyGraph) {
        guard let positive = texts(sampler, "positive", graph) else {
            return warn("its prompt cannot be read: give it with --prompt")
        }
        let negative = texts(sampler, "negative", graph)
        // ComfyUI uses round brackets for weights, too; square brackets have no meaning there.
        let all = [positive.first, positive.second, negative?.first, negative?.second]
            .compactMap(\.self)
        let isWeighted = all.contains { $0.contains("(") }
        func text(_ text: String?) -> String? {
            isWeighted ? text.map(Self.plainButForWeights) : text
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
        guard let latent else { return warn(unread: "size", Settings.size.name) }
        guard graph.isEmptyLatent(latent) else {
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
        } else {
            warn(unread: "size", Settings.size.name)
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
        var isNamed = false
        let readers = graph.readersOfCLIP
        var loras: [(name: String, weights: String)] = []
        for found in graph.path(sampler, "model") {
            if let name = graph.value(found, "lora_name")?.string {
                let unet = graph.value(found, "strength_model")?.number ?? 1
                // A LoRA does not change texts whose text encoders were taken from before it.
                let isHeard = readers.isEmpty || readers.contains(found.id)
                let text = isHeard ? graph.value(found, "strength_clip")?.number ?? 0 : 0
                loras.append((name, unet == text ? "\(unet)" : "\(unet):te=\(text)"))
            } else if !isNamed, let name = graph.modelName(found) {
                isNamed = true
                try add(RecordedModel(name: name, hash: nil))
            }
        }
        if !isNamed, !isGiven("model") {
            warn("its model cannot be read, and the default one is used: give it with --model")
        }
        for lora in limited(loras.reversed(), "LoRAs") {
            try add(lora: lora.name, weights: lora.weights)
        }
        let last = { (type: String) in graph.sorted.last { $0.type == type } }
        if let layer = last("CLIPSetLastLayer").flatMap({ graph.value($0, "stop_at_clip_layer") }) {
            set(Settings.clipSkip.name, layer.integer.map { "\(-$0)" })
        }
        if let name = last("VAELoader").flatMap({ graph.value($0, "vae_name")?.string }) {
            try add(vae: name)
        }
    }
}

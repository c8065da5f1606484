import Engine

/// A graph of ComfyUI nodes, from the `prompt` or the `workflow` of a picture. Pure.
struct ComfyGraph {
    struct Node {
        let id: String
        let type: String
        /// Values and links by input name: a link is `["4", 0]`.
        let inputs: [String: JSON]
        /// First link of a node that only passes its input on.
        fileprivate let passed: (name: String, link: JSON)?

        fileprivate init(id: String, type: String, inputs: [String: JSON]) {
            (self.id, self.type, self.inputs) = (id, type, inputs)
            let links = type == "Reroute" ? inputs.filter { $0.value.array != nil } : [:]
            passed = links.min { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    let nodes: [String: Node]

    /// Maximum number of nodes: large workflows have a few hundred.
    static let maxNodes = 10_000

    /// Nodes sorted by number.
    var sorted: [Node] {
        nodes.values.sorted { (Int($0.id) ?? .max, $0.id) < (Int($1.id) ?? .max, $1.id) }
    }

    /// Reads the graph that ComfyUI executed.
    ///
    /// - Returns: nil if it is not such a graph
    init?(prompt: JSON) {
        guard let object = prompt.object else { return nil }
        nodes = object.reduce(into: [:]) { nodes, entry in
            guard let type = entry.value.object?["class_type"]?.string else { return }
            nodes[entry.key] = Node(
                id: entry.key,
                type: type,
                inputs: entry.value.object?["inputs"]?.object ?? [:]
            )
        }
        guard !nodes.isEmpty else { return nil }
    }

    /// Names of the widgets of nodes, in the order of `widgets_values`; an empty name is a widget of the editor's own.
    private static let widgets: [String: [String]] = [
        "KSampler": ["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
        "KSamplerAdvanced": [
            "add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler",
            "start_at_step", "end_at_step", "return_with_leftover_noise",
        ],
        "CLIPTextEncode": ["text"],
        "EmptyLatentImage": ["width", "height", "batch_size"],
        "CheckpointLoaderSimple": ["ckpt_name"],
        "UNETLoader": ["unet_name"],
        "VAELoader": ["vae_name"],
        "LoraLoader": ["lora_name", "strength_model", "strength_clip"],
        "LoraLoaderModelOnly": ["lora_name", "strength_model"],
        "CLIPSetLastLayer": ["stop_at_clip_layer"],
        "LoadImage": ["image"],
        "PrimitiveNode": ["value"],
    ]

    /// Reads the graph that ComfyUI's editor shows.
    ///
    /// - Returns: nil if it is not such a graph
    init?(workflow: JSON) {
        guard let items = workflow.object?["nodes"]?.array else { return nil }
        var sources: [Int: (node: String, slot: Int)] = [:]
        for link in workflow.object?["links"]?.array ?? [] {
            guard let link = link.array, link.count >= 5, let id = link[0].integer,
                let node = link[1].integer, let slot = link[2].integer
            else { continue }
            sources[id] = ("\(node)", slot)
        }
        var nodes: [String: Node] = [:]
        for item in items {
            guard let item = item.object, let id = item["id"]?.integer,
                let type = item["type"]?.string
            else { continue }
            var inputs: [String: JSON] = [:]
            let values = item["widgets_values"]?.array ?? []
            for (name, value) in zip(Self.widgets[type] ?? [], values) where !name.isEmpty {
                inputs[name] = value
            }
            for input in item["inputs"]?.array ?? [] {
                guard let name = input.object?["name"]?.string,
                    let link = input.object?["link"]?.integer, let source = sources[link]
                else { continue }
                inputs[name] = .array([.string(source.node), .number(Double(source.slot))])
            }
            // 2 is muted; 4 is bypassed, and passes its input on.
            let mode = item["mode"]?.integer ?? 0
            guard mode != 2 else { continue }
            nodes["\(id)"] = Node(id: "\(id)", type: mode == 4 ? "Reroute" : type, inputs: inputs)
        }
        guard !nodes.isEmpty else { return nil }
        self.nodes = nodes
    }

    /// Maximum number of chained nodes that only pass something on, and of inputs that are searched for a value: far
    /// more than people use, but it limits the time that a malicious graph can take.
    private static let maxSteps = 64

    /// The node that an input comes from, skipping nodes that only pass it on; nil for a value.
    func source(_ node: Node, _ input: String) -> Node? {
        var (link, name) = (node.inputs[input], input)
        for _ in 0..<Self.maxSteps {
            guard let id = link?.array?.first?.string, let found = nodes[id] else { return nil }
            guard found.type == "Reroute" else { return found }
            if let passed = found.inputs[name] ?? found.inputs[""] {
                link = passed
            } else {
                (link, name) = (found.passed?.link, found.passed?.name ?? name)
            }
        }
        return nil
    }

    /// Inputs that may hold a node's value, in the order in which they are tried.
    private static let valueNames = [
        "value", "text", "string", "seed", "noise_seed", "int", "float",
    ]

    /// An input's value, which another node may hold.
    func value(_ node: Node, _ input: String) -> JSON? { found(node, input)?.value }

    /// The other node that holds an input's value; nil if the node holds it itself.
    func holder(_ node: Node, _ input: String) -> Node? {
        guard let found = found(node, input), found.node.id != node.id else { return nil }
        return found.node
    }

    /// Finds an input's value, looking at each input only once.
    private func found(_ node: Node, _ input: String) -> (node: Node, value: JSON)? {
        var seen: Set<[String]> = []
        var rest = [(node: node, input: input)]
        while let next = rest.popLast(), seen.count < Self.maxSteps {
            guard let value = next.node.inputs[next.input],
                seen.insert([next.node.id, next.input]).inserted
            else { continue }
            guard value.array != nil else { return (next.node, value) }
            guard let other = source(next.node, next.input) else { continue }
            rest += Self.valueNames.reversed().map { (other, $0) }
        }
        return nil
    }
}

extension ComfyGraph {
    /// Whether a node is the empty latent that a new picture starts from, such as EmptyLatentImage or
    /// EmptySD3LatentImage.
    func isEmptyLatent(_ node: Node) -> Bool {
        node.type.contains("Empty") && node.inputs["width"] != nil && node.inputs["height"] != nil
    }

    /// Name of the model that a node loads, including third-party nodes.
    func modelName(_ node: Node) -> String? {
        for input in ["ckpt_name", "unet_name", "model_name", "ckpt"] {
            let value = value(node, input)
            if let name = value?.string ?? value?.object?["content"]?.string { return name }
        }
        return nil
    }

    /// The chain of nodes behind an input, following inputs of the same name; each node appears once, even if there is
    /// a cycle.
    func path(_ node: Node, _ input: String) -> [Node] {
        var (found, seen): ([Node], Set<String>) = ([], [])
        var next = source(node, input)
        while let node = next, seen.insert(node.id).inserted {
            found.append(node)
            next = source(node, input)
        }
        return found
    }

    /// Nodes that the text encoders pass through before they encode a prompt.
    var readersOfCLIP: Set<String> {
        let texts = nodes.values.filter { $0.type.hasPrefix("CLIPTextEncode") }.prefix(64)
        return Set(texts.flatMap { path($0, "clip") }.map(\.id))
    }
}

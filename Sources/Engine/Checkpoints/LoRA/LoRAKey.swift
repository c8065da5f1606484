/// The parsed name of a tensor in a LoRA file: the module it changes and its role there.
struct LoRAKey: Equatable, Sendable {
    enum Role: Equatable, Sendable {
        /// The matrix that maps to the rank, and the one that maps from it.
        case down
        case up
        /// Alpha: the product's factor times the rank.
        case alpha
    }

    /// The module as the file spells it.
    let stem: String
    let role: Role
    /// The network that the module belongs to.
    let component: Component
    /// The module's name in that network.
    let module: Module

    enum Module: Equatable, Sendable {
        /// With its dots.
        case dotted(String)
        /// With underscores for dots, as kohya's trainers write it.
        case flattened(String)
    }

    /// Suffixes; none ends with another that comes after it.
    private static let endings: [(text: String, role: Role)] = [
        (".lora_down.weight", .down), (".lora_up.weight", .up),
        (".lora_A.default.weight", .down), (".lora_B.default.weight", .up),
        (".lora_A.weight", .down), (".lora_B.weight", .up),
        (".lora.down.weight", .down), (".lora.up.weight", .up),
        (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up),
        ("_lora.down.weight", .down), ("_lora.up.weight", .up),
        (".alpha", .alpha),
    ]

    /// Substrings in the names of other kinds of adapters, and what those are called.
    private static let others: [(text: String, kind: String)] = [
        ("dora_scale", "DoRA"), ("lora_magnitude_vector", "DoRA"), (".hada_", "LoHa"),
        (".lokr_", "LoKr"), (".oft_", "OFT"), (".boft_", "BOFT"), ("glora", "GLoRA"),
        ("lora_mid", "LoRA with a core tensor (Tucker)"), (".w_norm", "normalisation differences"),
        (".b_norm", "normalisation differences"), (".on_input", "IA3"),
        ("lora_B.bias", "LoRA with biases"), ("lora_up.bias", "LoRA with biases"),
    ]

    /// The kind of adapter, other than a LoRA, that a key belongs to.
    private static func other(_ key: String) -> String? {
        if key.hasSuffix(".diff") || key.hasSuffix(".diff_b") { return "full differences" }
        return others.first { key.contains($0.text) }?.kind
    }

    private static let prefixes: [(text: String, component: Component)] = [
        ("lora_unet_", .unet), ("lora_te1_", .textEncoder), ("lora_te2_", .textEncoder2),
        ("lora_te_", .textEncoder), ("lycoris_", .unet), ("unet.", .unet),
        ("text_encoder.", .textEncoder),
        ("text_encoder_2.", .textEncoder2), ("diffusion_model.", .unet),
        ("model.diffusion_model.", .unet),
    ]

    /// - Throws: `InputError` naming the key when it is of another kind or unknown
    init(_ key: String, place: String) throws(InputError) {
        if let kind = Self.other(key) {
            throw InputError(
                "\(place): \(key)",
                "this kind of adapter is not supported: \(kind)",
                fix: "Use a plain LoRA"
            )
        }
        guard let ending = Self.endings.first(where: { key.hasSuffix($0.text) }) else {
            throw LoRADialect.refusal(place, key)
                ?? InputError(
                    "\(place): \(key)",
                    "this key is unknown",
                    fix: "Use a LoRA with kohya or Diffusers keys"
                )
        }
        role = ending.role
        let stem = String(key.dropLast(ending.text.count))
        self.stem = stem
        let prefix = Self.prefixes.first { stem.hasPrefix($0.text) }
        component = prefix?.component ?? .unet
        var module = String(stem.dropFirst(prefix?.text.count ?? 0))
        if prefix?.text.hasSuffix("_") == true {
            self.module = .flattened(module)
            return
        }
        if module.hasPrefix("base_model.model.") {
            module.removeFirst("base_model.model.".count)
        }
        self.module = .dotted(Self.modern(module, in: component))
    }

    /// Diffusers' names from before PEFT, when attention layers belonged to a "processor".
    private static func modern(_ module: String, in component: Component) -> String {
        var parts = module.split(separator: ".").map(String.init)
        if let at = parts.firstIndex(of: "processor") { parts.remove(at: at) }
        guard let last = parts.last, ["to_q", "to_k", "to_v", "to_out"].contains(last) else {
            return parts.joined(separator: ".")
        }
        if component == .unet {
            if last == "to_out" { parts.append("0") }
        } else {
            parts[parts.count - 1] = "\(last.dropFirst("to_".count))_proj"
        }
        return parts.joined(separator: ".")
    }
}

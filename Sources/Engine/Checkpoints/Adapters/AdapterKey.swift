/// The parsed name of a tensor in an adapter file: the module it changes and its role there.
struct AdapterKey: Equatable, Sendable {
    /// The module as the file spells it.
    let stem: String
    let role: AdapterRole
    /// The network that the module belongs to.
    let component: Component
    /// The module's name in that network.
    let module: Module

    enum Module: Equatable, Sendable {
        /// With dots.
        case dotted(String)
        /// With underscores for dots, as kohya's trainers write it.
        case flattened(String)
    }

    /// Prefix of the keys in files saved by PEFT.
    static let peft = "base_model.model."

    /// Prefixes of networks that are followed by a module's unchanged name.
    private static let dotted: [(text: String, component: Component)] = [
        ("unet.", .unet), ("lora_unet.", .unet), ("model.diffusion_model.", .unet),
        ("diffusion_model.", .unet),
        ("text_encoder.", .textEncoder), ("text_encoder_2.", .textEncoder2),
        ("lora_te.", .textEncoder), ("lora_te1.", .textEncoder), ("lora_te2.", .textEncoder2),
        ("text_encoders.clip_l.", .textEncoder), ("text_encoders.clip_h.", .textEncoder),
        ("text_encoders.clip_g.", .textEncoder2),
        ("clip_l.", .textEncoder), ("clip_h.", .textEncoder), ("clip_g.", .textEncoder2),
    ]

    /// The same with underscores for dots.
    private static let flattened: [(text: String, component: Component)] = [
        ("lora_unet_", .unet), ("lora_te1_", .textEncoder), ("lora_te2_", .textEncoder2),
        ("lora_te_", .textEncoder), ("lycoris_", .unet),
    ]

    /// - Throws: `InputError` naming the key if it is unknown or of a kind that is not supported
    init(_ key: String, place: String) throws(InputError) {
        if let kind = AdapterRole.unsupported(key) {
            throw InputError(
                "\(place): \(key)",
                "this kind of adapter is not supported: \(kind)",
                fix: "Use a LoRA, LoHa, LoKr, IA3, OFT or BOFT"
            )
        }
        let found = AdapterRole.ending(of: key)
        // Keys of many other files end like this, too.
        if found?.role == .scaling, let refusal = AdapterDialect.refusal(place, key) {
            throw refusal
        }
        guard let ending = found else {
            throw AdapterDialect.refusal(place, key)
                ?? InputError(
                    "\(place): \(key)",
                    "this key is unknown",
                    fix: "Use an adapter with kohya, LyCORIS, PEFT or Diffusers keys"
                )
        }
        role = ending.role
        let stem = String(key.dropLast(ending.text.count))
        self.stem = stem
        if let prefix = Self.flattened.first(where: { stem.hasPrefix($0.text) }) {
            let name = String(stem.dropFirst(prefix.text.count))
            // LyCORIS uses one prefix for all networks.
            let isText = prefix.text == "lycoris_" && name.hasPrefix("text_model_")
            component = isText ? .textEncoder : prefix.component
            module = .flattened(name)
            return
        }
        var name = Self.without(Self.peft, stem)
        let prefix = Self.dotted.first { name.hasPrefix($0.text) }
        name = Self.without(prefix?.text ?? "", name)
        name = Self.without(Self.peft, name)
        // ComfyUI's name for the model inside a text encoder.
        if prefix?.text.contains("clip_") == true { name = Self.without("transformer.", name) }
        component = prefix?.component ?? (name.hasPrefix("text_model.") ? .textEncoder : .unet)
        module = .dotted(Self.modern(name, in: component))
    }

    private static func without(_ prefix: String, _ name: String) -> String {
        name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// Converts Diffusers' names from before PEFT, when attention layers belonged to a "processor".
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

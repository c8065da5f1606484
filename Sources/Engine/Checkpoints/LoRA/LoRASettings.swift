/// What PEFT records about alphas in a LoRA file's header; the tensors do not contain it.
struct LoRASettings: Sendable {
    /// Of one network.
    private struct Part: Sendable {
        var alpha: Float?
        /// Alphas of modules, keyed by suffixes of their names.
        var alphas: [(ending: String, alpha: Float)] = []
        /// Whether alpha is divided by the square root of the rank.
        var usesRoot = false
    }

    private var parts: [Component: Part] = [:]

    private static let key = "lora_adapter_metadata"

    /// Reads a header.
    ///
    /// - Throws: `InputError` when the metadata is not JSON, or asks for what is not supported
    init(_ file: SafeTensors) throws(InputError) {
        guard let text = file.metadata[Self.key] else { return }
        let place = "\(file.path): \(Self.key)"
        guard let fields = try JSON(text.utf8, place: place).object else {
            throw InputError(place, "it is not an object", fix: "Fetch the file again")
        }
        for component in [Component.unet, .textEncoder, .textEncoder2] {
            let prefix = "\(component.rawValue)."
            func field(_ name: String) -> JSON? { fields[prefix + name] ?? nil }
            for (name, kind) in [("use_dora", "DoRA"), ("lora_bias", "LoRA with biases")]
            where field(name)?.bool == true {
                throw InputError(
                    "\(place): \(prefix)\(name)",
                    "this kind of adapter is not supported: \(kind)",
                    fix: "Use a plain LoRA"
                )
            }
            var part = Part()
            part.alpha = field("lora_alpha")?.number.map { Float($0) }
            part.usesRoot = field("use_rslora")?.bool == true
            for (pattern, value) in (field("alpha_pattern")?.object ?? [:]).sorted(by: {
                $0.key < $1.key
            }) {
                guard let alpha = value.number,
                    pattern.allSatisfy({ $0.isLetter || $0.isNumber || "._^".contains($0) })
                else {
                    throw InputError(
                        "\(place): \(prefix)alpha_pattern",
                        "'\(pattern.prefix(80))' is not the name of a module with a number",
                        fix: "Save the LoRA with plain names there"
                    )
                }
                part.alphas.append((pattern, Float(alpha)))
            }
            parts[component] = part
        }
    }

    /// The factor of a module's product: alpha over the rank, or 1 where alpha is unknown.
    func scale(_ component: Component, module: String, rank: Int, alpha: Float?) -> Float {
        let part = parts[component] ?? Part()
        let special = part.alphas.first { ending, _ in
            if ending.hasPrefix("^") { return module == ending.dropFirst() }
            return module == ending || module.hasSuffix(".\(ending)")
        }
        guard let alpha = alpha ?? special?.alpha ?? part.alpha else { return 1 }
        return alpha / (part.usesRoot ? Float(rank).squareRoot() : Float(rank))
    }
}

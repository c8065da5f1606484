import Foundation

/// What PEFT records about an adapter outside its tensors: in the header's `lora_adapter_metadata` if Diffusers
/// saved it, or in `adapter_config.json` beside the file if PEFT did.
struct AdapterSettings: Sendable {
    /// How PEFT computes the rotations of OFT.
    struct Rotation: Sendable {
        let sharesBlocks: Bool
        /// Number of terms of the series that replaces the inverse; nil if the inverse itself is computed.
        let terms: Int?

        func rotation(_ skew: [Double], _ size: Int) -> [Double] {
            if let terms { return Cayley.series(skew, size, terms: terms) }
            // PEFT's transform is that of −Q.
            return Cayley.rotation(skew.map { -$0 }, size)
        }
    }

    /// The settings for one network.
    private struct Part: Sendable {
        var alpha: Float?
        var rank: Int?
        /// Alphas and ranks of modules, keyed by suffixes of their names.
        var alphas: [(ending: String, value: Float)] = []
        var ranks: [(ending: String, value: Float)] = []
        /// Whether alpha is divided by the square root of the rank.
        var usesRoot = false
        var usesDoRA = false
        var rotation: Rotation?
    }

    private var parts: [Component: Part] = [:]
    /// Whether PEFT's settings are known.
    var isKnown: Bool { !parts.isEmpty }

    private static let key = "lora_adapter_metadata"
    /// PEFT's own name of the file with its settings.
    static let fileName = "adapter_config.json"

    /// Reads a header, and for PEFT's own files the settings beside them.
    ///
    /// - Throws: `InputError` if the settings are not JSON, or need something that is not supported
    init(_ file: SafeTensors) throws(InputError) {
        if let text = file.metadata[Self.key] {
            let place = "\(file.path): \(Self.key)"
            let fields = try Self.object(try JSON(text.utf8, place: place), place)
            for component in [Component.unet, .textEncoder, .textEncoder2] {
                let prefix = "\(component.rawValue)."
                parts[component] = try Self.part(place, prefix) { fields[prefix + $0] }
            }
            return
        }
        guard file.names.contains(where: { $0.hasPrefix(AdapterKey.peft) }) else { return }
        let path = URL(fileURLWithPath: file.path).deletingLastPathComponent()
            .appendingPathComponent(Self.fileName).path
        guard FileManager.default.fileExists(atPath: path) else { return }
        let fields = try Self.object(try JSON(try InputFile.bytes(path), place: path), path)
        let part = try Self.part(path, "") { fields[$0] }
        for component in Component.allCases { parts[component] = part }
    }

    private static func object(_ json: JSON, _ place: String) throws(InputError) -> [String: JSON] {
        guard let fields = json.object else {
            throw InputError(place, "it is not an object", fix: "Fetch the file again")
        }
        return fields
    }

    private static func part(
        _ place: String,
        _ prefix: String,
        _ field: (String) -> JSON?
    ) throws(InputError) -> Part {
        // Variants of LoRA that are not implemented.
        for (name, kind) in [
            ("fan_in_fan_out", "transposed weights"), ("coft", "constrained OFT"),
            ("use_qalora", "QALoRA"), ("use_bdlora", "BD-LoRA"),
        ] where field(name)?.bool == true {
            throw InputError(
                "\(place): \(prefix)\(name)",
                "this kind of adapter is not supported: \(kind)",
                fix: "Use a plain LoRA"
            )
        }
        // Training with these starts from weights other than the model's.
        let start = field("init_lora_weights")?.string ?? ""
        if ["pissa", "olora", "corda", "loftq"].contains(where: { start.lowercased().hasPrefix($0) }
        ) {
            throw InputError(
                "\(place): \(prefix)init_lora_weights",
                "it is '\(start.prefix(40))', which also changes the model's own weights",
                fix:
                    "Convert it to a plain LoRA with PEFT (path_initial_model_for_weight_conversion)"
            )
        }
        var part = Part()
        part.alpha = try number("lora_alpha", place, prefix, field)
        if part.alpha == nil { part.alpha = try number("alpha", place, prefix, field) }
        part.rank = try number("r", place, prefix, field).map { Int($0) }
        part.usesRoot = field("use_rslora")?.bool == true
        part.usesDoRA = field("use_dora")?.bool == true
        if field("peft_type")?.string == "OFT" {
            let terms = field("num_cayley_neumann_terms")?.integer ?? 5
            guard (1...64).contains(terms) else {
                throw InputError(
                    "\(place): \(prefix)num_cayley_neumann_terms",
                    "it is \(terms)",
                    fix: "Fetch the file again"
                )
            }
            part.rotation = Rotation(
                sharesBlocks: field("block_share")?.bool == true,
                terms: field("use_cayley_neumann")?.bool == true ? terms : nil
            )
        }
        part.alphas = try patterns("alpha_pattern", place, prefix, field)
        part.ranks = try patterns("rank_pattern", place, prefix, field)
        return part
    }

    /// A number that the adapter's strength depends on: with an invalid one, the strength would be a guess.
    private static func number(
        _ name: String,
        _ place: String,
        _ prefix: String,
        _ field: (String) -> JSON?
    ) throws(InputError) -> Float? {
        guard let value = field(name), value != .null else { return nil }
        guard let number = value.number, abs(number) < 1e6 else {
            throw InputError(
                "\(place): \(prefix)\(name)",
                "it is not a number below a million",
                fix: "Fetch the file again"
            )
        }
        return Float(number)
    }

    /// Numbers for modules, by suffixes of their names.
    private static func patterns(
        _ name: String,
        _ place: String,
        _ prefix: String,
        _ field: (String) -> JSON?
    ) throws(InputError) -> [(ending: String, value: Float)] {
        var patterns: [(String, Float)] = []
        for (pattern, value) in (field(name)?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard let number = value.number,
                pattern.allSatisfy({ $0.isLetter || $0.isNumber || "._^".contains($0) })
            else {
                throw InputError(
                    "\(place): \(prefix)\(name)",
                    "'\(pattern.prefix(80))' is not the name of a module with a number",
                    fix: "Save the LoRA with plain names there"
                )
            }
            patterns.append((pattern, Float(number)))
        }
        return patterns
    }

    private static func find(_ module: String, in list: [(ending: String, value: Float)]) -> Float?
    {
        list.first { ending, _ in
            if ending.hasPrefix("^") { return module == ending.dropFirst() }
            return module == ending || module.hasSuffix(".\(ending)")
        }?.value
    }

    /// The scale factor of a module's product: alpha over the rank, or 1 if alpha is unknown.
    ///
    /// - Parameters:
    ///   - component: the module's network
    ///   - module: the module's name there
    ///   - rank: the rank of its tensors; nil if nothing is decomposed, in which case only PEFT's settings give a factor
    ///   - alpha: the alpha stored with its tensors
    /// - Returns: the factor
    func scale(_ component: Component, module: String, rank: Int?, alpha: Float?) -> Float {
        let part = parts[component] ?? Part()
        let given = Self.find(module, in: part.ranks) ?? part.rank.map { Float($0) }
        guard let rank = rank.map({ Float($0) }) ?? given else { return 1 }
        guard let alpha = alpha ?? Self.find(module, in: part.alphas) ?? part.alpha else {
            return 1
        }
        return alpha / (part.usesRoot ? rank.squareRoot() : rank)
    }

    /// Whether every LoRA of a network has DoRA's norms.
    func usesDoRA(_ component: Component) -> Bool { parts[component]?.usesDoRA == true }

    /// How PEFT computes the rotations of OFT; nil if no settings say so.
    func rotation(_ component: Component) -> Rotation? { parts[component]?.rotation }
}

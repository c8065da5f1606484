/// The role that a tensor of an adapter has in its module.
enum AdapterRole: Hashable, Sendable {
    /// LoRA: the matrix that maps down to the rank, the one that maps up from it, a core between them (Tucker),
    /// and what is added to the bias.
    case down, up, mid, upBias
    /// Alpha: the change's factor times the rank; the constraint of OFT and BOFT.
    case alpha
    /// DoRA: the norms of the merged weight, as LyCORIS and kohya store them, and as PEFT does.
    case doraScale, magnitude
    /// LoHa: two low-rank products, and their cores.
    case hadaW1A, hadaW1B, hadaT1, hadaW2A, hadaW2B, hadaT2
    /// LoKr: two factors, each whole or a product, and the second's core.
    case lokrW1, lokrW1A, lokrW1B, lokrW2, lokrW2A, lokrW2B, lokrT2
    /// OFT and BOFT: rotations as square matrices, and a factor for each output; PEFT's rotations are triangles.
    case blocks, rescale, triangles
    /// Differences of a weight and of a bias, and those of a normalisation layer.
    case diff, diffBias, normDiff, normDiffBias
    /// IA3: factors minus 1, and whether they apply to inputs; PEFT's factors.
    case scaling, onInput, factors

    /// Suffixes of keys. The first match counts, so none ends with another that comes before it.
    private static let endings: [(text: String, role: AdapterRole)] = [
        (".lora_down.weight", .down), (".lora_up.weight", .up), (".lora_mid.weight", .mid),
        (".lora_A.default.weight", .down), (".lora_B.default.weight", .up),
        (".lora_A.weight", .down), (".lora_B.weight", .up),
        (".lora.down.weight", .down), (".lora.up.weight", .up), (".lora.mid.weight", .mid),
        (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up),
        ("_lora.down.weight", .down), ("_lora.up.weight", .up),
        (".lora_B.default.bias", .upBias), (".lora_B.bias", .upBias), (".lora_up.bias", .upBias),
        (".alpha", .alpha), (".dora_scale", .doraScale),
        (".lora_magnitude_vector.default.weight", .magnitude),
        (".lora_magnitude_vector.weight", .magnitude), (".lora_magnitude_vector", .magnitude),
        (".hada_w1_a", .hadaW1A), (".hada_w1_b", .hadaW1B), (".hada_t1", .hadaT1),
        (".hada_w2_a", .hadaW2A), (".hada_w2_b", .hadaW2B), (".hada_t2", .hadaT2),
        (".lokr_w1", .lokrW1), (".lokr_w1_a", .lokrW1A), (".lokr_w1_b", .lokrW1B),
        (".lokr_w2", .lokrW2), (".lokr_w2_a", .lokrW2A), (".lokr_w2_b", .lokrW2B),
        (".lokr_t2", .lokrT2),
        (".oft_blocks", .blocks), (".rescale", .rescale),
        (".oft_R.default.weight", .triangles), (".oft_R.weight", .triangles),
        (".diff", .diff), (".diff_b", .diffBias), (".w_norm", .normDiff),
        (".b_norm", .normDiffBias),
        (".on_input", .onInput), (".ia3_l", .factors), (".weight", .scaling),
    ]

    /// Substrings in the names of kinds of adapters that are not supported, and what those are called.
    private static let others: [(text: String, kind: String)] = [
        (".oft_diag", "OFT of LyCORIS before version 2"), (".boft_", "BOFT as PEFT stores it"),
        ("glora", "GLoRA"), (".a1.weight", "GLoRA"), (".a2.weight", "GLoRA"),
        (".lokr_t1", "LoKr with a core in its first factor"),
        ("vera_lambda", "VeRA"), ("lora_embedding_", "LoRA of an embedding table"),
        ("lora_diag", "LoRA with a diagonal"), (".q_layer.", "T-LoRA"), (".p_layer.", "T-LoRA"),
    ]

    /// The suffix of a key and its role; nil for an unknown one.
    static func ending(of key: String) -> (text: String, role: AdapterRole)? {
        endings.first { key.hasSuffix($0.text) }
    }

    /// The kind of adapter that a key belongs to, if that kind is not supported; nil otherwise.
    static func unsupported(_ key: String) -> String? {
        others.first { key.contains($0.text) }?.kind
    }

    /// Whether a key belongs to an adapter of any kind: no model has such names.
    static func isOfAdapter(_ key: String) -> Bool {
        if key.hasPrefix(AdapterFile.bundlePrefix) || unsupported(key) != nil { return true }
        guard let role = ending(of: key)?.role else {
            return key.contains("lora_") || key.contains(".lora.")
        }
        return role != .scaling && role != .alpha
    }

    /// The key's suffix, for errors.
    var suffix: String { Self.endings.first { $0.role == self }?.text ?? "" }
}

/// The kinds of changes that an adapter makes to a module.
enum AdapterKind: String, Sendable, CaseIterable {
    case lora = "LoRA"
    case loha = "LoHa"
    case lokr = "LoKr"
    case ia3 = "IA3"
    case oft = "OFT"
    case boft = "BOFT"
    case full = "full difference"
    case norm = "norm difference"
    case bias = "bias difference"

    /// The roles that every module of this kind needs, and those that it may have. Each needed item is a list of
    /// alternatives, and each alternative is a set of roles.
    private var roles: (needed: [[[AdapterRole]]], optional: [AdapterRole]) {
        let dora: [AdapterRole] = [.alpha, .doraScale, .magnitude]
        switch self {
        case .lora: return ([[[.down]], [[.up]]], dora + [.mid, .upBias, .diffBias])
        case .loha:
            return (
                [[[.hadaW1A]], [[.hadaW1B]], [[.hadaW2A]], [[.hadaW2B]]],
                dora + [.hadaT1, .hadaT2, .diffBias]
            )
        case .lokr:
            return (
                [[[.lokrW1], [.lokrW1A, .lokrW1B]], [[.lokrW2], [.lokrW2A, .lokrW2B]]],
                dora + [.lokrT2, .diffBias]
            )
        case .ia3: return ([[[.scaling, .onInput], [.factors]]], [])
        case .oft, .boft: return ([[[.blocks], [.triangles]]], [.alpha, .rescale])
        case .full: return ([[[.diff]]], [.alpha, .diffBias])
        case .norm: return ([[[.normDiff]]], [.alpha, .normDiffBias])
        case .bias: return ([[[.diffBias], [.normDiffBias]]], [.alpha])
        }
    }

    /// Determines the kind from a module's tensors.
    ///
    /// - Parameters:
    ///   - names: the module's tensors by role
    ///   - blockAxes: number of axes of its rotations
    ///   - place: file and module, for errors
    /// - Throws: `InputError` if a part is missing, or one is present that the kind does not have
    init(
        _ names: [AdapterRole: String],
        blockAxes: Int?,
        place: String
    ) throws(InputError) {
        let found = Self.allCases.first { kind in
            kind.roles.needed.contains { $0.contains { $0.contains { names[$0] != nil } } }
        }
        guard var found, !(names.count == 1 && names[.scaling] != nil) else {
            throw InputError(
                place,
                names[.scaling] == nil
                    ? "what '\(names.values.min() ?? "")' belongs to is missing"
                    : "it is a whole weight, which replaces the model's: that is not supported",
                fix: "Fetch the file again, or save only what was added to the model"
            )
        }
        if found == .oft, blockAxes == 4 { found = .boft }
        var known = found.roles.optional
        for alternatives in found.roles.needed {
            known += alternatives.flatMap { $0 }
            let isWhole = alternatives.contains { $0.allSatisfy { names[$0] != nil } }
            let isClear = alternatives.filter { $0.contains { names[$0] != nil } }.count <= 1
            guard isWhole && isClear else {
                let missing = alternatives.map { $0.map(\.suffix).joined(separator: " with ") }
                throw InputError(
                    place,
                    isWhole
                        ? "it has both \(missing.joined(separator: " and "))"
                        : "a part of this \(found.rawValue) is missing: "
                            + missing.joined(separator: ", or "),
                    fix: "Fetch the file again"
                )
            }
        }
        let stray = names.filter { !known.contains($0.key) }.values.min()
        let half: [(AdapterRole, AdapterRole)] = [(.hadaT1, .hadaT2), (.hadaT2, .hadaT1)]
        let single = half.first { names[$0.0] != nil && names[$0.1] == nil }
        guard stray == nil, single == nil,
            names[.doraScale] == nil || names[.magnitude] == nil,
            names[.lokrT2] == nil || names[.lokrW2A] != nil
        else {
            throw InputError(
                place,
                stray.map { "'\($0)' does not belong to a \(found.rawValue)" }
                    ?? "parts of this \(found.rawValue) do not belong together",
                fix: "Fetch the file again"
            )
        }
        self = found
    }
}

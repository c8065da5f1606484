/// One adapter file: a LoRA, LoHa, LoKr or another `AdapterKind` for each module that it changes.
package struct AdapterFile: Sendable {
    /// What the file holds for one module.
    struct Module: Sendable {
        /// The name as the file spells it.
        let stem: String
        let component: Component
        let name: AdapterKey.Module
        let kind: AdapterKind
        let parts: AdapterParts
        let alpha: Float?

        var isDecomposed: Bool { parts.has(.doraScale) || parts.has(.magnitude) }

        /// Its kind, as shown to users.
        var title: String {
            switch (kind, isDecomposed) {
            case (.lora, true): "DoRA"
            case (_, true): "\(kind.rawValue) with DoRA"
            default: kind.rawValue
            }
        }

        /// Its rank, or number of rows of a rotated block; nil if nothing is decomposed.
        var rank: Int? {
            switch kind {
            case .lora: parts.shape(.down).first
            case .loha: parts.shape(.hadaW1B).first
            case .lokr: parts.shape(.lokrW2B).first ?? parts.shape(.lokrW1B).first
            case .oft, .boft: parts.shape(.blocks).last
            default: nil
            }
        }
    }

    package let source: LoRASource
    let file: SafeTensors
    let modules: [Module]
    /// Textual inversions inside it.
    package let inversions: [TextualInversion]
    private let settings: AdapterSettings

    /// Prefix of the names of textual inversions inside a file, as saved by OneTrainer.
    static let bundlePrefix = "bundle_emb."

    /// Reads the header and the alphas.
    ///
    /// - Throws: `InputError` naming the first key that is unknown or of a kind that is not supported
    package init(_ source: LoRASource) throws(InputError) {
        self.source = source
        let file = try SafeTensors(file: source.path)
        self.file = file
        let settings = try AdapterSettings(file)
        self.settings = settings
        var found: [String: (key: AdapterKey, names: [AdapterRole: String])] = [:]
        inversions = try TextualInversion.bundled(in: file)
        for name in file.names where !name.hasPrefix(Self.bundlePrefix) {
            let key = try AdapterKey(name, place: source.path)
            let known = found[key.stem, default: (key, [:])].names[key.role]
            guard known == nil else {
                throw InputError(
                    "\(source.path): \(name)",
                    "the file changes this module twice, by '\(known ?? "")' too",
                    fix: "Use a file with one naming scheme"
                )
            }
            found[key.stem, default: (key, [:])].names[key.role] = name
        }
        guard !found.isEmpty || !inversions.isEmpty else {
            throw InputError(source.path, "it holds no tensors", fix: "Fetch it again")
        }
        modules = try found.sorted { $0.key < $1.key }.map { entry throws(InputError) in
            let (stem, (key, names)) = entry
            let parts = AdapterParts(file: file, names: names)
            let kind = try AdapterKind(
                names,
                blockAxes: parts.has(.blocks) ? parts.shape(.blocks).count : nil,
                place: "\(source.path): \(stem)"
            )
            if kind == .lora, settings.usesDoRA(key.component), names[.magnitude] == nil {
                throw InputError(
                    "\(source.path): \(stem)",
                    "a part of this DoRA is missing: .lora_magnitude_vector",
                    fix: "Fetch the file again"
                )
            }
            return Module(
                stem: stem,
                component: key.component,
                name: key.module,
                kind: kind,
                parts: parts,
                alpha: try names[.alpha].map { name throws(InputError) in
                    try Self.scalar(name, in: file)
                }
            )
        }
    }

    /// Reads a number that is stored as a tensor.
    private static func scalar(_ name: String, in file: SafeTensors) throws(InputError) -> Float {
        let info = file.info(name)
        let count = info?.shape.reduce(1, *) ?? 0
        var value: Float?
        if count == 1, let info {
            switch info.type {
            case .float64:
                value = file.bytes(name).map { Float($0.loadUnaligned(as: Double.self)) }
            case .float32, .float16, .bfloat16: value = try file.tensor(name).values.first
            default: value = try file.integers(name).first.map { Float($0) }
            }
        }
        guard let value, value.isFinite else {
            throw InputError(
                "\(file.path): \(name)",
                "it is not one finite number",
                fix: "Fetch the file again"
            )
        }
        return value
    }

    /// Rejects NaN and infinities; reads the whole file.
    ///
    /// - Throws: `InputError` naming the first tensor
    func refuseFlaws() throws(InputError) {
        for module in modules {
            for name in module.parts.names.values.sorted() { try file.refuseFlaw(in: name) }
        }
        for inversion in inversions {
            for name in inversion.tensors { try inversion.refuseFlaw(in: name) }
        }
    }

    /// Notice for the user about a file that lacks settings needed to interpret it; nil if it is complete.
    package var notice: String? {
        let isPEFT = file.names.contains { $0.hasPrefix(AdapterKey.peft) }
        let needsAlpha = modules.contains { $0.rank != nil && $0.alpha == nil }
        guard isPEFT, needsAlpha, !settings.isKnown else { return nil }
        return "\(source.description): PEFT's \(AdapterSettings.fileName) is not beside the file; "
            + "alpha is taken to be the rank"
    }

    /// The changes that the file makes to the weights of a network.
    ///
    /// - Parameters:
    ///   - component: the network
    ///   - table: its weights
    ///   - original: maps the original names of its modules to Diffusers' names, where they differ
    /// - Returns: changes by weight
    /// - Throws: `InputError` naming the first module that the network does not have, or whose shape
    ///   differs
    func changes(
        to component: Component,
        _ table: WeightTable,
        original: Renaming?
    ) throws(InputError) -> [String: AdapterChange] {
        let own = modules.filter { $0.component == component }
        guard !own.isEmpty else { return [:] }
        let names = ModuleNames(table, original: original)
        var changes: [String: AdapterChange] = [:]
        for module in own {
            guard let target = names.find(module.name) else {
                throw AdapterDialect.refusal(file.path, module.stem)
                    ?? InputError(
                        "\(file.path): \(module.stem)",
                        "the model's \(component.rawValue) has no such module",
                        fix: "Use a LoRA that was made for this kind of model"
                    )
            }
            for (weight, change) in try self.changes(by: module, target, table) {
                guard changes.updateValue(change, forKey: weight) == nil else {
                    throw InputError(
                        "\(file.path): \(module.stem)",
                        "the file changes this module twice, under two names",
                        fix: "Use a file with one naming scheme"
                    )
                }
            }
        }
        return changes
    }

    /// The changes that one module of the file makes to a module's weight and bias.
    private func changes(
        by module: Module,
        _ target: ModuleNames.Target,
        _ table: WeightTable
    ) throws(InputError) -> [(weight: String, change: AdapterChange)] {
        let parts = module.parts
        let place = "\(file.path): \(module.stem)"
        let strength = source.weight(module.component, target.module)
        func change(_ delta: any WeightDelta, _ magnitudes: Magnitudes? = nil) -> AdapterChange {
            AdapterChange(place: place, strength: strength, delta, magnitudes)
        }
        let scale = { (rank: Int?) in
            settings.scale(module.component, module: target.module, rank: rank, alpha: module.alpha)
        }
        guard abs(scale(1)) < 1e6 else {
            throw InputError(place, "its alpha is out of range", fix: "Fetch the file again")
        }
        var found: [(String, AdapterChange)] = []
        let shape = table.shape(target.weight) ?? []
        let bias = "\(target.module).bias"
        let biasShape = table.shape(bias)
        func misfit(_ role: AdapterRole) -> InputError { parts.misfit(role, shape) }
        switch module.kind {
        case .bias: break
        case .full:
            found.append((target.weight, change(try DifferenceChange(parts, .diff, shape))))
        case .norm:
            found.append((target.weight, change(try DifferenceChange(parts, .normDiff, shape))))
        case .lora, .loha, .lokr, .oft, .boft, .ia3:
            guard let extent = WeightExtent(shape) else {
                throw parts.misfit(Self.mainRole(module), shape)
            }
            let magnitudes = try Magnitudes(parts, extent)
            switch module.kind {
            case .lora:
                let delta = try LowRankChange(parts, extent, scale: scale)
                found.append((target.weight, change(delta, magnitudes)))
            case .loha:
                let delta = try HadamardChange(parts, extent, scale: scale)
                found.append((target.weight, change(delta, magnitudes)))
            case .lokr:
                let delta = try KroneckerChange(parts, extent, scale: scale)
                found.append((target.weight, change(delta, magnitudes)))
            case .ia3:
                let axis: ScalingChange.Axis =
                    parts.has(.factors)
                    ? try ScalingChange.axis(parts, extent)
                    : try Self.scalar(parts.names[.onInput] ?? "", in: file) != 0
                        ? .inputs : .outputs
                found.append((target.weight, change(try ScalingChange(parts, axis, shape))))
                // PEFT scales the output of a layer, bias included; LyCORIS scales only its weight.
                if parts.has(.factors), axis == .outputs, let biasShape {
                    found.append((bias, change(try ScalingChange(parts, .outputs, biasShape))))
                }
            default:
                let rotation = settings.rotation(module.component)
                let delta = try RotationChange(
                    parts,
                    extent,
                    alpha: module.alpha,
                    peft: rotation
                )
                found.append((target.weight, change(delta)))
            }
        }
        for role in [AdapterRole.diffBias, .normDiffBias, .upBias] where parts.has(role) {
            guard let biasShape else {
                throw InputError(
                    "\(file.path): \(parts.names[role] ?? "")",
                    "it changes a bias that this module of the model does not have",
                    fix: "Use an adapter that was made for this kind of model"
                )
            }
            let factor = role == .upBias ? scale(parts.shape(.down).first) : 1
            let delta = try DifferenceChange(parts, role, biasShape, scale: factor)
            found.append((bias, change(delta)))
        }
        return found
    }

    /// The tensor that represents a module in errors.
    private static func mainRole(_ module: Module) -> AdapterRole {
        let roles: [AdapterRole] = [
            .down, .hadaW1A, .lokrW1, .lokrW1A, .blocks, .triangles, .scaling, .factors,
        ]
        return roles.first(where: module.parts.has) ?? .alpha
    }
}

/// The modules of a network by all the names that adapter files use for them.
private struct ModuleNames {
    struct Target {
        let module: String
        let weight: String
    }

    private var dotted: [String: Target] = [:]
    private var flattened: [String: Target] = [:]

    private static let root = "text_model."

    init(_ table: WeightTable, original: Renaming?) {
        let toOriginal = original?.inverse
        for weight in table.names where weight.hasSuffix(".weight") {
            let module = String(weight.dropLast(".weight".count))
            var names = [module]
            // Text encoders are stored with and without this prefix.
            names.append(
                module.hasPrefix(Self.root)
                    ? String(module.dropFirst(Self.root.count)) : Self.root + module
            )
            if let name = toOriginal?(module) { names.append(name) }
            let target = Target(module: module, weight: weight)
            for name in names {
                dotted[name] = target
                flattened[name.replacing(".", with: "_")] = target
            }
        }
    }

    func find(_ name: AdapterKey.Module) -> Target? {
        switch name {
        case .dotted(let name): dotted[name]
        case .flattened(let name): flattened[name]
        }
    }
}

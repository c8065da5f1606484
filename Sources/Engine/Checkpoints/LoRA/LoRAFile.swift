/// One LoRA file: for each module that it changes, two small matrices whose product is added.
package struct LoRAFile: Sendable {
    /// What it holds for one module.
    struct Module: Sendable {
        /// The name as the file spells it.
        let stem: String
        let component: Component
        let name: LoRAKey.Module
        let down: String
        let up: String
        let alpha: Float?
    }

    package let source: LoRASource
    let file: SafeTensors
    let modules: [Module]
    private let settings: LoRASettings

    /// Reads the header and the alphas.
    ///
    /// - Throws: `InputError` naming the first key that is unknown or of another kind of adapter
    package init(_ source: LoRASource) throws(InputError) {
        self.source = source
        let file = try SafeTensors(file: source.path)
        self.file = file
        settings = try LoRASettings(file)
        var found: [String: (key: LoRAKey, names: [LoRAKey.Role: String])] = [:]
        for name in file.names {
            let key = try LoRAKey(name, place: source.path)
            found[key.stem, default: (key, [:])].names[key.role] = name
        }
        guard !found.isEmpty else {
            throw InputError(source.path, "it holds no tensors", fix: "Fetch it again")
        }
        var modules: [Module] = []
        for (stem, (key, names)) in found.sorted(by: { $0.key < $1.key }) {
            guard let down = names[.down], let up = names[.up] else {
                throw InputError(
                    "\(source.path): \(stem)",
                    "one of its two matrices is missing",
                    fix: "Fetch the file again"
                )
            }
            modules.append(
                Module(
                    stem: stem,
                    component: key.component,
                    name: key.module,
                    down: down,
                    up: up,
                    alpha: try names[.alpha].map { name throws(InputError) in
                        try Self.scalar(name, in: file)
                    }
                )
            )
        }
        self.modules = modules
    }

    /// A number that is stored as a tensor.
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

    /// Refuses matrices with NaN or infinities; reads the whole file.
    ///
    /// - Throws: `InputError` naming the first tensor
    func refuseFlaws() throws(InputError) {
        for module in modules {
            for name in [module.down, module.up] { try file.refuseFlaw(in: name) }
        }
    }

    /// What the file adds to the weights of a network.
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
    ) throws(InputError) -> [String: LoRAChange] {
        let own = modules.filter { $0.component == component }
        guard !own.isEmpty else { return [:] }
        let names = ModuleNames(table, original: original)
        var changes: [String: LoRAChange] = [:]
        for module in own {
            guard let target = names.find(module.name), let shape = table.shape(target.weight)
            else {
                throw LoRADialect.refusal(file.path, module.stem)
                    ?? InputError(
                        "\(file.path): \(module.stem)",
                        "the model's \(component.rawValue) has no such module",
                        fix: "Use a LoRA that was made for this kind of model"
                    )
            }
            let change = try LoRAChange(
                file: file,
                down: module.down,
                up: module.up,
                target: shape
            ) { rank in
                source.weight
                    * settings.scale(
                        component,
                        module: target.module,
                        rank: rank,
                        alpha: module.alpha
                    )
            }
            guard changes.updateValue(change, forKey: target.weight) == nil else {
                throw InputError(
                    "\(file.path): \(module.stem)",
                    "the file changes this module twice, under two names",
                    fix: "Use a file with one naming scheme"
                )
            }
        }
        return changes
    }
}

/// The modules of a network by all the names that LoRA files use for them.
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
            // Text models are stored with and without this root.
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

    func find(_ name: LoRAKey.Module) -> Target? {
        switch name {
        case .dotted(let name): dotted[name]
        case .flattened(let name): flattened[name]
        }
    }
}

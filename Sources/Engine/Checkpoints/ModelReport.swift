import Foundation

/// The report of `tessera inspect` on a model, complete or not, or on an adapter such as a LoRA.
package struct ModelReport: Sendable {
    /// One component of the model or adapter.
    package struct Part: Sendable, Equatable {
        package let name: String
        package let parameters: Int
        /// Element types, the one with the most parameters first.
        package let types: [String]
        package let files: [String]
    }

    package let path: String
    package let kind: String
    private let isAdapter: Bool
    /// The adapters: those merged into a model, or the file itself.
    package private(set) var adapters: [AdapterSummary] = []
    package private(set) var parts: [Part] = []
    /// Facts about the whole model, in order: names and values.
    package private(set) var facts: [(name: String, value: String)] = []
    /// What is missing for a render, one line each.
    package private(set) var missing: [String] = []
    /// Problems with parts that are present, one line each.
    package private(set) var faults: [String] = []

    /// Reads headers and configurations and, if `readsWeights`, all weights once.
    ///
    /// - Parameters:
    ///   - path: the path of a model or a LoRA
    ///   - options: the model's options
    ///   - readsWeights: whether to compute the digest and look for NaN
    /// - Throws: `InputError` if it is neither a model nor a LoRA, or a file is damaged
    package init(path: String, options: ModelOptions, readsWeights: Bool) throws {
        self.path = path
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let adapter = LoRASource.file(path)
        if adapter != path {
            let adapter = try AdapterFile(LoRASource(path: adapter))
            (kind, isAdapter) = ("\(AdapterSummary(adapter).kinds), folder", true)
            try describe(adapter)
            return
        }
        if exists, isFolder.boolValue, let part = ModelPart(folder: path) {
            (kind, isAdapter) = (part.kind, true)
            try describe(part)
            return
        }
        if exists, !isFolder.boolValue {
            let file = try SafeTensors(file: path)
            if OriginalKinds.isAdapter(file) {
                let adapter = try AdapterFile(LoRASource(path: path))
                kind = AdapterSummary(adapter).kinds
                isAdapter = true
                try describe(adapter)
                return
            }
            if let vae = try? VAESource(path: path), vae.isAlone {
                (kind, isAdapter) = ("autoencoder alone, \(vae.kind)", true)
                try describe(vae)
                return
            }
            if TextualInversion.matches(file) {
                (kind, isAdapter) = ("textual inversion", true)
                let inversion = try TextualInversion(EmbeddingSource(path: path))
                add("embedding", "'\(inversion.word)': \(inversion.summary)")
                for name in inversion.tensors {
                    do throws(InputError) {
                        try inversion.refuseFlaw(in: name)
                    } catch {
                        faults.append("\(error)")
                    }
                }
                return
            }
        }
        let model = try Model(path: path, options: options, allowsGaps: true)
        kind = model.kind
        isAdapter = false
        try describe(model, readsWeights: readsWeights)
        guard readsWeights, Set(parts.map(\.name)).isSuperset(of: ["unet", "vae"]) else { return }
        try attempt { report in report.add("digest", try model.digest()) }
    }

    package mutating func add(_ name: String, _ value: String) { facts.append((name, value)) }

    /// Adds a reason for which a render would refuse the model.
    package mutating func add(fault: InputError) { faults.append("\(fault)") }

    private mutating func describe(_ model: Model, readsWeights: Bool) throws {
        add("family", model.family.name)
        missing = model.missing.map { "\($0.error)" }
        if let refusal = model.refusal { faults.append("\(refusal)") }
        let gaps = Set(model.missing.map(\.name))
        for component in model.family.components where !gaps.contains(component.rawValue) {
            do throws(InputError) {
                parts.append(try Part(component, model))
            } catch {
                missing.append("\(error)")
            }
        }
        let names = Set(parts.map(\.name))
        try attempt { report in
            guard names.isSuperset(of: ["unet", "vae"]) else { return }
            let (unet, vae) = (try model.unetConfig(), try model.vaeConfig())
            let side = unet.sampleSize * vae.factor
            report.add("native size", "\(side)x\(side)")
            let source = model.options.vae.map { "of \($0), " } ?? ""
            report.add("latents", "\(source)\(vae.scaling)")
            if let input = PictureInput(inputs: unet.inChannels, latent: vae.latentChannels),
                input != .none
            {
                report.add("use", "\(input.text): the UNet takes \(unet.inChannels) channels")
            }
            if unet.guidanceWidth != nil {
                report.add("guidance", "an input of the UNet; negative prompts are not used")
            }
        }
        if !gaps.contains("scheduler") {
            try attempt { report in
                let scheduler = try model.schedulerConfig()
                report.add("prediction", scheduler.prediction.rawValue)
                report.add("prediction known from", model.predictionSource)
                if let refusal = scheduler.refusal { throw refusal }
                report.add("scheduler", scheduler.defaultKind.rawValue)
                report.add("scheduler known from", try model.schedulerPlace())
                if scheduler.edm != nil {
                    report.add("noise levels", "EDM's, in place of timesteps")
                }
                let kind = scheduler.defaultKind
                if let levels = scheduler.levelSpacing { report.add("sigmas", levels.rawValue) }
                try Scheduler(
                    kind,
                    config: scheduler,
                    steps: min(20, kind.method.maxSteps(scheduler))
                ).checkFinite(place: try model.schedulerPlace())
            }
        }
        for component in model.family.textEncoders
        where names.contains(component.rawValue) {
            try attempt { report in
                _ = try model.textConfig(component)
                guard !gaps.contains(component.tokenizer) else { return }
                let tokenizer = try model.tokenizer(component)
                let place = try model.tokenizerPlace(component)
                report.add(component.tokenizer, "\(tokenizer.count) tokens, from \(place)")
            }
        }
        // Reasons for which a render rejects a complete model.
        if missing.isEmpty {
            do {
                let used = try model.check(ModelNeeds(encoder: nil, texts: true))
                if readsWeights { try model.scan(used) }
            } catch let error as InputError {
                faults.append("\(error)")
            }
        }
        if let distillation = model.distillation {
            let evidence = distillation.evidence
            let source =
                evidence == "by its name" ? "by the name of \(distillation.path)" : evidence
            add("distilled", "\(distillation.method.rawValue), \(source)")
            if let refusal = distillation.refusal { faults.append("\(refusal)") }
        }
        for adapter in model.adapters {
            let summary = AdapterSummary(adapter)
            adapters.append(summary)
            add("lora", adapter.source.argument)
            let parts = summary.components.map { "\($0.name) \($0.text)" }
            add("lora modules", parts.joined(separator: ", "))
            if let notice = adapter.notice { add("notice", notice) }
        }
        for inversion in try model.inversions() {
            add("embedding", "'\(inversion.word)': \(inversion.summary), of \(inversion.path)")
        }
        if try !model.inversions().isEmpty {
            try attempt { _ in _ = try model.promptTokenizers() }
        }
        if let refiner = model.refiner, let source = model.options.refiner {
            let parameters = try Part(.unet, refiner).parameters
            add(
                "refiner",
                "\(refiner.path), after \(source.start) of the schedule, \(Self.grouped(parameters)) "
                    + "parameters in its UNet"
            )
        }
        for (name, count) in model.ignored { add("ignored", "\(name): \(count) tensors") }
    }

    /// Runs `body` and records its `InputError` as a missing part.
    private mutating func attempt(_ body: (inout ModelReport) throws -> Void) throws {
        do {
            try body(&self)
        } catch let error as InputError {
            if !missing.contains("\(error)") { missing.append("\(error)") }
        }
    }

    /// Describes one part of a model, given by its folder in Diffusers' layout.
    private mutating func describe(_ part: ModelPart) throws {
        switch part {
        case .vae:
            try describe(VAESource(path: path))
        case .textEncoder(let isProjected):
            try attempt { report in
                let files = try ComponentFiles(folder: report.path)
                let table = try files.table()
                let tensors = table.names.compactMap { name in
                    table.type(name).flatMap { type in table.shape(name).map { (type, $0) } }
                }
                report.parts.append(
                    Part(name: "text_encoder", tensors: tensors, files: files.weights)
                )
                let config = try CLIPConfig(
                    file: "\(report.path)/config.json",
                    projected: isProjected
                )
                report.add("width", "\(config.width), in \(config.layers) layers")
                report.add("vocabulary", "\(config.vocabulary) tokens")
            }
        case .scheduler:
            try attempt { report in
                let config = try SchedulerConfig(
                    file: "\(report.path)/\(ModelPart.schedulerFile)"
                )
                report.add("prediction", config.prediction.rawValue)
                if let refusal = config.refusal { throw refusal }
                report.add("scheduler", config.defaultKind.rawValue)
                if let levels = config.levelSpacing { report.add("sigmas", levels.rawValue) }
            }
        case .tokenizer:
            try attempt { report in
                let tokenizer = try TokenizerFolder(report.path)
                report.add("vocabulary", "\(tokenizer.vocabulary.count) tokens")
            }
        }
        if let use = part.use { add("use", use) }
    }

    /// Describes an autoencoder for `--vae`.
    private mutating func describe(_ vae: VAESource) throws {
        try attempt { report in
            var reader = try vae.config(scaling: [:])
            let (config, table) = (try VAEConfig(&reader), try vae.weights())
            let tensors = table.names.compactMap { name in
                table.type(name).flatMap { type in table.shape(name).map { (type, $0) } }
            }
            report.parts.append(Part(name: "vae", tensors: tensors, files: try vae.files()))
            report.add(
                "latents",
                "\(config.latentChannels) channels, 1/\(config.factor) of the size"
            )
            report.add("use", "give it with --vae beside a model")
            for name in table.names { try table.refuseFlaw(in: name) }
        }
    }

    private mutating func describe(_ lora: AdapterFile) throws {
        for component in Component.allCases {
            let modules = lora.modules.filter { $0.component == component }
            guard !modules.isEmpty else { continue }
            let names = modules.flatMap { $0.parts.names.filter { $0.key != .alpha }.values }
            parts.append(
                Part(
                    name: component.rawValue,
                    tensors: names.compactMap { lora.file.info($0) }.map { ($0.type, $0.shape) },
                    files: [lora.file.path]
                )
            )
        }
        let summary = AdapterSummary(lora)
        adapters.append(summary)
        if !lora.families.isEmpty { add("made for", lora.families.names) }
        for component in summary.components { add("\(component.name) modules", component.text) }
        for inversion in lora.inversions {
            add("embedding", "'\(inversion.word)': \(inversion.summary)")
        }
        if let notice = lora.notice { add("notice", notice) }
        do {
            try lora.refuseFlaws()
        } catch {
            faults.append("\(error)")
        }
        guard !lora.modules.isEmpty else { return }
        let isFlat = lora.modules.contains {
            if case .flattened = $0.name { true } else { false }
        }
        add("keys", isFlat ? "kohya's" : "Diffusers'")
        // A fault only if no supported model has any of these modules.
        let refusals = lora.modules.map { AdapterDialect.refusal(path, $0.stem) }
        if let first = refusals.first ?? nil, refusals.allSatisfy({ $0 != nil }) {
            faults.append("\(first)")
        }
    }

    /// Why a render would reject the model; nil if it would not.
    package var refusal: InputError? {
        let reasons = missing + faults
        guard let first = reasons.first else { return nil }
        let others = reasons.count - 1
        return InputError(
            path,
            "a render would refuse it: \(first.withoutFullStop)",
            fix: others == 0
                ? "See the report"
                : "See the report for \(others) other reason\(others == 1 ? "" : "s")"
        )
    }

    /// The report as human-readable lines.
    package var lines: [String] {
        let rows = [["model", path], ["kind", kind]] + facts.map { [$0.0, $0.1] }
        let cells = parts.map { part in
            [
                part.name, "\(Self.grouped(part.parameters)) parameters",
                part.types.joined(separator: ", "),
                part.files.map { file in
                    file.hasPrefix("\(path)/") ? String(file.dropFirst(path.count + 1)) : file
                }.joined(separator: ", "),
            ]
        }
        var lines = TextTable.lines(rows) + TextTable.lines(cells, rightAligned: [1])
        if !isAdapter, missing.isEmpty, faults.isEmpty { lines.append("nothing is missing") }
        return lines + missing.map { "missing: \($0)" } + faults.map { "fault: \($0)" }
    }

    /// The report as JSON, one line.
    package var json: String {
        var fields: [String: Any] = [
            "path": path, "kind": kind, "missing": missing, "faults": faults,
            "parts": parts.map {
                [
                    "name": $0.name, "parameters": $0.parameters, "types": $0.types,
                    "files": $0.files,
                ]
                    as [String: Any]
            },
        ]
        if !adapters.isEmpty { fields["adapters"] = adapters.map(\.json) }
        for (name, values) in Dictionary(grouping: facts, by: \.name) {
            let texts = values.map(\.value)
            let isList = ["lora", "lora modules", "embedding", "notice", "ignored"].contains(name)
            fields[name.replacing(" ", with: "_")] = isList ? texts as Any : texts[0]
        }
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        let data = try? JSONSerialization.data(withJSONObject: fields, options: options)
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    /// A number with its digits in groups of three.
    private static func grouped(_ number: Int) -> String {
        var digits = String(number)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + groups).joined(separator: ",")
    }
}

extension ModelReport.Part {
    fileprivate init(_ component: Component, _ model: Model) throws(InputError) {
        let table = try model.table(component)
        self.init(
            name: component.rawValue,
            tensors: table.names.compactMap { name in
                guard let type = table.type(name), let shape = table.shape(name) else { return nil }
                return (type, shape)
            },
            files: try model.files(component)
        )
    }

    fileprivate init(
        name: String,
        tensors: [(type: SafeTensors.ElementType, shape: [Int])],
        files: [String]
    ) {
        var counts: [String: Int] = [:]
        // Integers are position ids, not parameters.
        for (type, shape) in tensors where type.rawValue.contains("F") {
            counts[type.rawValue, default: 0] += shape.reduce(1, *)
        }
        self.name = name
        parameters = counts.values.reduce(0, +)
        types = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
        self.files = files
    }
}

import Engine
import Foundation
import Sampling

extension PictureRecipe {
    /// Keys of a picture's JSON besides the settings, all of which are handled here.
    private static let facts: Set<String> = [
        "prompt", "negative-prompt", "prompt-2", "negative-prompt-2", "embedding", "lora", "model",
        "model-digest", "version", "init-image", "init-image-digest", "mask", "mask-digest",
        "extend", "precision", "backend", "device", "prediction", "prompt-chunks", "vae", "base",
        "refiner", "tokenizer", "model-config", "inputs", "quality",
    ]

    /// Files that a picture's text records only by name, by flag.
    private static let unstored = ["tokenizer", "model-config", "inputs"]

    /// Settings that are dropped if a flag changes what they depend on.
    private static let dependents: [String: [any AnySetting]] = [
        "size": [Settings.ladder],
        "stride": [Settings.windowWeight],
        "border": [Settings.windowWeight],
        "method": [Settings.ladder, Settings.stride, Settings.windowWeight],
        "scheduler": [
            Settings.karras, Settings.sigmas, Settings.sgmUniform, Settings.timestepSpacing,
            Settings.finalSigma,
        ],
        "sigmas": [Settings.karras, Settings.sgmUniform],
        "karras": [Settings.sigmas, Settings.sgmUniform],
        "sgm-uniform": [Settings.karras, Settings.sigmas],
    ]

    /// Adds everything in a Tessera picture's text that decides its pixels.
    ///
    /// - Throws: `InputError` for a text that cannot be read
    mutating func add(own fields: [String: JSON], place: String) throws {
        isOwn = true
        let version = fields["version"]?.string ?? ""
        if version != RenderSession.version {
            warn("it was made by Tessera \(version): the picture may differ from \(place)")
        }
        for key in fields.keys.sorted()
        where !Self.facts.contains(key) && !Settings.all.contains(where: { $0.name == key }) {
            warn("this version of Tessera does not know its setting '\(key)'")
        }
        add(prompts: fields)
        let recorded = try settings(fields, place: place)
        let unused = Settings.all.filter { setting in
            // Settings that belong to a method which a flag replaces, or which was not used.
            setting.onlyMethod(in: recorded).map { $0 != recorded.method || isGiven("method") }
                ?? false
        }
        let dropped = Set(
            (Self.dependents.filter { isGiven($0.key) }.flatMap(\.value) + unused).map(\.name)
        )
        for setting in Settings.all where !isGiven(setting.name) && !dropped.contains(setting.name)
        {
            do throws(InputError) {
                for word in try setting.arguments(recorded: fields[setting.name]) { add(word) }
            } catch {
                throw InputError("\(place), \(error.place)", error.problem, fix: error.remedy)
            }
        }
        // The settings already include what the model suggests.
        set(flag: "no-model-preset")
        set("prediction", fields["prediction"]?.string)
        for flag in Self.unstored where !isGiven(flag) {
            guard let name = fields[flag]?.string else { continue }
            throw InputError(
                place,
                "it was made with --\(flag) '\(name)', but its text records only the name",
                fix: "Give --\(flag) again"
            )
        }
        try add(picture: fields)
        add(computation: fields)
        let loras = try add(loras: fields)
        let parts = try add(parts: fields)
        let digest = fields["model-digest"]?.string
        try add(
            RecordedModel(
                name: fields["model"]?.string,
                // Different adapters give a different digest.
                hash: isGiven("lora") || isGiven("model-config") || loras == nil || parts == nil
                    ? nil
                    : digest.map { .digest($0, Self.options(parts ?? [:], loras: loras ?? [])) }
            )
        )
        try add(embeddings: fields, loras: loras ?? [])
    }

    /// Reads the settings in the text.
    private func settings(
        _ fields: [String: JSON],
        place: String
    ) throws(InputError) -> RenderSettings {
        var settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        let known = fields.filter { field in Settings.all.contains { $0.name == field.key } }
        do throws(InputError) {
            try SettingChoices(json: known).apply(to: &settings)
        } catch {
            throw InputError("\(place), \(error.place)", error.problem, fix: error.remedy)
        }
        return settings
    }

    private mutating func add(prompts fields: [String: JSON]) {
        for key in ["prompt", "negative-prompt", "prompt-2", "negative-prompt-2"] {
            set(key, fields[key]?.string)
        }
    }

    /// Adds the adapters that the prompt does not name.
    ///
    /// - Returns: all of them; nil if the file of one is not found
    /// - Throws: `InputError` if one is not found
    private mutating func add(loras fields: [String: JSON]) throws(InputError) -> [LoRASource]? {
        let names = limited((fields["lora"]?.array ?? []).compactMap(\.string), "LoRAs")
        let isTagged = fields[Settings.promptSyntax.name]?.string == PromptSyntax.a1111.rawValue
        let prompt = fields["prompt"]?.string ?? ""
        let tags = isTagged ? PromptTag.tags(in: prompt) : []
        var sources: [LoRASource]? = []
        for (i, name) in names.enumerated() {
            // A file name may contain colons; the weights begin at the first number.
            let isNamed = i >= names.count - tags.count
            let pieces = name.split(separator: ":", omittingEmptySubsequences: false)
            guard let split = pieces.indices.first(where: { $0 > 0 && Float(pieces[$0]) != nil })
            else { continue }
            let stem = pieces[..<split].joined(separator: ":")
            let weights = pieces[split...].joined(separator: ":")
            let path = file(named: stem)
            if let path, let source = try? LoRASource(argument: "\(path):\(weights)") {
                sources?.append(source)
            } else {
                sources = nil
            }
            if !isNamed || isGiven("prompt") {
                try add(lora: stem, weights: weights)
            } else if path == nil, !isGiven("lora") {
                try lacks("LoRA '\(stem)'", fix: "Give its folder with --lora-dir")
            }
        }
        return sources
    }

    /// Adds parts of the model that come from other files.
    ///
    /// - Returns: their paths by flag; nil if a flag gives another one
    /// - Throws: `InputError` if one is not found
    mutating func add(parts fields: [String: JSON]) throws(InputError) -> [String: String]? {
        var paths: [String: String]? = [:]
        for flag in ["vae", "base", "refiner"] {
            guard let recorded = fields[flag]?.string else { continue }
            // A refiner is recorded with its share of the schedule.
            let colon = flag == "refiner" ? recorded.lastIndex(of: ":") : nil
            let (name, rest) = (
                String(recorded[..<(colon ?? recorded.endIndex)]),
                colon.map { String(recorded[$0...]) } ?? ""
            )
            if isGiven(flag) {
                paths = nil
            } else if let path = part(named: name) {
                paths?[flag] = path + rest
                set(flag, path + rest)
            } else {
                paths = nil
                try lacks("\(flag) '\(name)'", fix: "Give it with --\(flag)")
            }
        }
        return paths
    }

    /// Finds a file or folder of weights by its name: in `--model-dir`, beside the picture or in the current folder.
    func part(named name: String) -> String? {
        guard let name = RecordedName.last(name) else { return nil }
        let folders = [
            request.modelFolder, request.folder, FileManager.default.currentDirectoryPath,
        ]
        return folders.compactMap(\.self).map { "\($0)/\(name)" }
            .first { [.regular, .folder].contains(FileKind($0)) } ?? file(named: name)
    }

    static func options(_ parts: [String: String], loras: [LoRASource]) -> ModelOptions {
        ModelOptions(
            loras: loras,
            vae: parts["vae"],
            base: parts["base"],
            refiner: parts["refiner"].flatMap { try? RefinerSource(argument: $0) }
        )
    }

    private mutating func add(
        embeddings fields: [String: JSON],
        loras: [LoRASource]
    ) throws(InputError) {
        let entries = (fields["embedding"]?.array ?? []).compactMap(\.string)
        let inLoRAs =
            entries.isEmpty ? [] : loras.compactMap { try? FileDigest.of($0.path, cache: nil) }
        for entry in limited(entries, "textual inversions") {
            guard let colon = entry.lastIndex(of: ":") else { continue }
            let digest = String(entry[entry.index(after: colon)...])
            let isInLoRA = HashStart(digest).map { inLoRAs.contains(where: $0.begins) } ?? false
            if !isInLoRA {
                try add(embedding: String(entry[..<colon]), digest: digest)
            }
        }
    }

    /// Adds the init image and the mask, which must be the recorded files.
    private mutating func add(picture fields: [String: JSON]) throws {
        try add(file: "init-image", fields)
        try add(file: "mask", fields)
        set("extend", fields["extend"]?.string)
    }

    /// Adds an input picture under its flag, found by its recorded name and digest.
    private mutating func add(file flag: String, _ fields: [String: JSON]) throws {
        guard let recorded = fields[flag]?.string, !isGiven(flag) else { return }
        let digest = fields["\(flag)-digest"]?.string
        let places = [request.folder, FileManager.default.currentDirectoryPath]
        let found =
            (RecordedName.last(recorded, separators: "/").map { name in
                places.map { "\($0)/\(name)" }.filter { FileKind($0) == .regular }
            }) ?? []
        if let digest, let exact = found.first(where: { Self.digest(of: $0) == digest }) {
            return set(flag, exact)
        }
        throw InputError(
            request.path,
            "it was made from the picture '\(recorded)', "
                + (found.isEmpty ? "which is not found" : "and \(found[0]) is another one"),
            fix: "Give it with --\(flag)"
        )
    }

    private static func digest(of path: String) -> String? {
        try? FileDigest.of(path, cache: nil)
    }

    /// Adds the backend and the precision, if this build and this processor support them.
    private mutating func add(computation fields: [String: JSON]) {
        guard let backend = fields["backend"]?.string, let precision = fields["precision"]?.string
        else { return }
        let options: EngineOptions? = BackendKind(rawValue: backend).flatMap { backend in
            Precision(rawValue: precision).map { precision in
                EngineOptions.best(
                    for: .current,
                    backend: backend,
                    precision: precision,
                    threads: 1
                ).options
            }
        }
        guard let options, (try? options.check()) != nil else {
            warn(
                "it was computed with \(backend) in \(precision), which is not possible here: the picture may differ"
            )
            return
        }
        set("backend", backend)
        set("precision", precision)
    }

    /// Removes tags from the prompt if their files are missing.
    mutating func removeTags(from prompt: String) {
        let tags = limited(PromptTag.tags(in: prompt), "tags")
        var kept: [Bool] = []
        for tag in tags {
            do throws(InputError) {
                _ = try LoRASource(tag, folder: request.loraFolder)
                kept.append(true)
            } catch {
                warn("\(tag.text) of its prompt is left out: \(error.problem)")
                kept.append(false)
            }
        }
        var rest = kept[...]
        replace("prompt", PromptTag.removed(from: prompt) { _ in rest.popFirst() ?? false })
    }
}

import Engine
import Foundation
import Sampling

/// How to repeat a picture: command-line flags, from the text in its file.
package struct PictureRecipe {
    /// Which picture to repeat, and the flags that were given.
    package struct Request {
        /// The picture's path.
        package var path: String
        /// Names of the flags that were given, which override the text.
        package var given: Set<String>
        /// The model that was given with a flag.
        package var model: String?
        package var modelFolder: String?
        package var loraFolder: String?

        package init(
            path: String,
            given: Set<String> = [],
            model: String? = nil,
            modelFolder: String? = nil,
            loraFolder: String? = nil,
            isLossy: Bool? = nil
        ) {
            (self.path, self.given, self.model) = (path, given, model)
            (self.modelFolder, self.loraFolder) = (modelFolder, loraFolder)
            self.isLossy = isLossy
        }

        /// Whether the repeat is written in a lossy format; nil if unknown.
        package var isLossy: Bool?

        /// Folder of the picture.
        var folder: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }
    }

    let request: Request
    /// Command-line arguments, with values after `=`.
    package private(set) var arguments: [String] = []
    /// What cannot be repeated, one line each.
    package private(set) var warnings: [String] = []
    /// Whether Tessera made the picture: it is then repeated to the byte, or not at all.
    var isOwn = false
    private var warned: Set<String> = []
    /// Folders of adapters and embeddings, in the order in which they are searched.
    private let folders: [AdapterFolder]
    private let digests: DigestedFiles

    /// Maximum number of adapters and embeddings that are looked for, and of warnings: more would help nobody.
    static let maxFiles = 100
    private static let maxWarnings = 50
    /// Maximum length of a warning, in characters.
    private static let maxWarning = 500

    /// Flags that the picture decides, so that their defaults from the environment are ignored.
    package var replaced: Set<String> {
        Set(Settings.all.map(\.name) + Self.others)
    }

    private static let others = [
        "prompt", "negative-prompt", "prompt-2", "negative-prompt-2", "lora", "embedding",
        "init-image", "mask", "extend", "prediction", "model", "vae", "base", "refiner",
        "tokenizer", "model-config",
    ]

    /// Reads a picture's file.
    ///
    /// - Throws: `InputError` if it cannot be read, or has no text of a known program
    package init(_ request: Request) throws {
        self.request = request
        let near = [request.folder, FileManager.default.currentDirectoryPath]
        folders = (request.loraFolder.map { [$0] } ?? []).map(AdapterFolder.init)
        digests = DigestedFiles([request.loraFolder].compactMap(\.self) + near)
        // Other formats carry the same text, so it is read here.
        let file = try PictureMetadata(file: request.path)
        func json(_ key: String) -> JSON? {
            file.text[key].flatMap { try? JSON($0.utf8, place: request.path) }
        }
        if let fields = json("tessera")?.object {
            try add(own: fields, place: request.path)
        } else if let parameters = file.text["parameters"] {
            try add(Infotext(parameters))
        } else if let graph = json("prompt").flatMap({ ComfyGraph(prompt: $0) })
            ?? json("workflow").flatMap({ ComfyGraph(workflow: $0) })
        {
            try add(graph)
        } else {
            throw InputError(
                request.path,
                "it has no settings of Tessera, A1111 or ComfyUI in it",
                fix: "Give the file as the program saved it; many sites remove the text"
            )
        }
        let unsaid = warned.count - warnings.count
        if unsaid > 0 { warnings.append("\(unsaid) other things cannot be repeated") }
        guard let fields = json("tessera")?.object else { return }
        // Bit depth and quality, if the repeat's format has them.
        if file.depth == 16, request.isLossy != true { set("bit-depth", "16") }
        if request.isLossy == true { set("quality", fields["quality"]?.integer.map { "\($0)" }) }
    }

    func isGiven(_ name: String) -> Bool { request.given.contains(name) }

    /// Sets a flag, unless another overrides it; nil sets nothing.
    mutating func set(_ name: String, _ value: String?) {
        guard let value, !isGiven(name) else { return }
        arguments.append("--\(name)=\(value)")
    }

    /// Sets a flag without a value.
    mutating func set(flag name: String) {
        if !isGiven(name) { arguments.append("--\(name)") }
    }

    /// Adds an argument unchanged.
    mutating func add(_ word: String) { arguments.append(word) }

    /// Changes the value of a flag that was set.
    mutating func replace(_ name: String, _ value: String) {
        remove(name)
        set(name, value)
    }

    /// Removes a flag that was set.
    mutating func remove(_ name: String) {
        arguments.removeAll { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
    }

    /// The value of a flag that was set; empty for one without a value.
    func value(_ name: String) -> String? {
        let word = arguments.last { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") }
        return word.map { String($0.dropFirst(name.count + 3)) }
    }

    /// Reports that a file which the picture was made with is missing. For a Tessera picture this is an error, because
    /// the result would differ; pictures of other programs are not repeated to the pixel anyway.
    ///
    /// - Parameters:
    ///   - file: description of the file, such as `LoRA 'x'`
    ///   - fix: how to provide it
    /// - Throws: `InputError` for a Tessera picture
    mutating func lacks(_ file: String, fix: String) throws(InputError) {
        guard !isOwn else {
            throw InputError(
                request.path,
                "it was made with the \(file), which is not found",
                fix: fix
            )
        }
        warn(
            "its \(file) is not found and left out: \(fix.prefix(1).lowercased())\(fix.dropFirst())"
        )
    }

    mutating func warn(_ line: String) {
        guard warned.insert(line).inserted, warnings.count < Self.maxWarnings else { return }
        let isLong = line.unicodeScalars.count > Self.maxWarning
        warnings.append(isLong ? "\(line.prefix(Self.maxWarning))…" : line)
    }

    /// The first items of a list, with a warning if there are more.
    mutating func limited<Item>(_ items: [Item], _ kind: String) -> [Item] {
        if items.count > Self.maxFiles {
            warn("only the first \(Self.maxFiles) of its \(kind) are looked for")
        }
        return Array(items.prefix(Self.maxFiles))
    }

    // Models, adapters and embeddings.

    /// Adds the model, found by its name and hash.
    ///
    /// - Throws: `InputError` for a Tessera picture whose model is not found
    mutating func add(_ model: RecordedModel) throws(InputError) {
        if let given = request.model {
            if let line = model.difference(from: given) { warn(line) }
            return
        }
        guard !isGiven("model") else { return }
        let found = model.find(in: request.modelFolder)
        let fix = "Name it with --model, or its folder with --model-dir"
        if let path = found {
            let line = model.difference(from: path)
            if isOwn, line != nil {
                // The digest covers all of them.
                let others =
                    model.hasParts ? ", or an adapter or part of it has other contents" : ""
                throw InputError(
                    request.path,
                    "it was made with the model \(model.title), and \(path) has other weights\(others)",
                    fix: fix
                )
            }
            set("model", path)
            if let line { warn(line) }
        } else if isOwn, model.isNamed {
            try lacks("model \(model.title)", fix: fix)
        } else {
            warn(
                "its model \(model.title) is not found, and the default is used: name it with --model, or its folder "
                    + "with --model-dir"
            )
        }
    }

    /// Finds a file of adapters or embeddings by its name, with or without its extension: in `--lora-dir` and below it,
    /// or without that flag beside the picture and in the current folder.
    func file(named name: String) -> String? {
        guard let last = RecordedName.last(name) else { return nil }
        var file = last.hasSuffix(".safetensors") ? last : "\(last).safetensors"
        // PEFT and Diffusers give all their files the same few names: the folder's name is needed, too.
        if LoRASource.commonNames.contains(String(file.dropLast(".safetensors".count))),
            let folder = RecordedName.folder(name)
        {
            file = "\(folder)/\(file)"
        }
        guard request.loraFolder == nil else {
            return folders.lazy.compactMap { $0.file(file) }.first
        }
        return [request.folder, FileManager.default.currentDirectoryPath].map { "\($0)/\(file)" }
            .first { FileKind($0) == .regular }
    }

    /// Adds an adapter; `weights` has the format of `--lora`.
    ///
    /// - Throws: as `lacks`
    mutating func add(lora name: String, weights: String) throws(InputError) {
        guard !isGiven("lora") else { return }
        if let path = file(named: name) {
            arguments.append("--lora=\(path):\(weights)")
        } else {
            try lacks("LoRA '\(name)'", fix: "Give its folder with --lora-dir")
        }
    }

    /// Adds the VAE that another program names.
    mutating func add(vae name: String) throws(InputError) {
        if let path = part(named: name) {
            set("vae", path)
        } else if !isGiven("vae") {
            try lacks("VAE '\(name)'", fix: "Give it with --vae")
        }
    }

    /// Adds a textual inversion that is not available otherwise.
    ///
    /// - Throws: as `lacks`
    mutating func add(embedding word: String, digest: String? = nil) throws(InputError) {
        guard !isGiven("embedding") else { return }
        let start = digest.flatMap(HashStart.init)
        // A Tessera picture records which file of that name it was.
        let named = file(named: word).flatMap { path in
            !isOwn || start.map { $0.isDigest(ofFile: path) } ?? true ? path : nil
        }
        if let path = named ?? start.flatMap(digests.file) {
            arguments.append("--embedding=\(path):\(word)")
        } else {
            try lacks("textual inversion '\(word)'", fix: "Give it with --embedding FILE:\(word)")
        }
    }
}

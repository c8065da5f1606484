import Engine
import Foundation
import Sampling

/// How to make a picture again: flags of a command line, from the text in its file.
package struct PictureRecipe {
    /// What the picture's text is read for.
    package struct Request {
        /// The picture's path.
        package var path: String
        /// Names of the flags that override what the text says.
        package var given: Set<String>
        /// The model that a flag names.
        package var model: String?
        package var modelFolder: String?
        package var loraFolder: String?

        package init(
            path: String,
            given: Set<String> = [],
            model: String? = nil,
            modelFolder: String? = nil,
            loraFolder: String? = nil
        ) {
            (self.path, self.given, self.model) = (path, given, model)
            (self.modelFolder, self.loraFolder) = (modelFolder, loraFolder)
        }

        /// The folder of the picture.
        var folder: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }
    }

    let request: Request
    /// Words of a command line, values behind `=`.
    package private(set) var arguments: [String] = []
    /// What cannot be repeated, one line each.
    package private(set) var warnings: [String] = []
    private var warned: Set<String> = []
    /// Folders of adapters and embeddings, in the order in which they are searched.
    private let folders: [AdapterFolder]
    private let digests: DigestedFiles

    /// Adapters and embeddings that are looked for, and lines that are said: more are of no use to anybody.
    static let maxFiles = 100
    private static let maxWarnings = 50
    /// Characters of one of them.
    private static let maxWarning = 500

    /// Flags that the picture decides: their defaults from the environment do not count.
    package var replaced: Set<String> {
        Set(Settings.all.map(\.name) + Self.others)
    }

    private static let others = [
        "prompt", "negative-prompt", "prompt-2", "negative-prompt-2", "lora", "embedding",
        "init-image", "mask", "extend", "prediction", "model", "vae", "base", "refiner",
    ]

    /// Reads a picture's file.
    ///
    /// - Throws: `InputError` when it cannot be read, or has no text of a known program
    package init(_ request: Request) throws {
        self.request = request
        let near = [request.folder, FileManager.default.currentDirectoryPath]
        folders = (request.loraFolder.map { [$0] } ?? []).map(AdapterFolder.init)
        digests = DigestedFiles([request.loraFolder].compactMap(\.self) + near)
        // Other formats with the same text: read it here.
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
        if file.depth == 16, json("tessera") != nil { set("bit-depth", "16") }
        let unsaid = warned.count - warnings.count
        if unsaid > 0 { warnings.append("\(unsaid) other things cannot be repeated") }
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

    /// Adds a word as it is.
    mutating func add(_ word: String) { arguments.append(word) }

    /// Changes the value of a flag that was set.
    mutating func replace(_ name: String, _ value: String) {
        arguments.removeAll { $0.hasPrefix("--\(name)=") }
        set(name, value)
    }

    mutating func warn(_ line: String) {
        guard warned.insert(line).inserted, warnings.count < Self.maxWarnings else { return }
        let isLong = line.unicodeScalars.count > Self.maxWarning
        warnings.append(isLong ? "\(line.prefix(Self.maxWarning))…" : line)
    }

    /// The first items of a list, with a warning where it has more.
    mutating func limited<Item>(_ items: [Item], _ kind: String) -> [Item] {
        if items.count > Self.maxFiles {
            warn("only the first \(Self.maxFiles) of its \(kind) are looked for")
        }
        return Array(items.prefix(Self.maxFiles))
    }

    // Files.

    /// Adds the model, found by its name and hash.
    mutating func add(_ model: RecordedModel) {
        if let given = request.model {
            if let line = model.difference(from: given) { warn(line) }
            return
        }
        guard !isGiven("model") else { return }
        let found = model.find(in: request.modelFolder)
        if let path = found {
            set("model", path)
            if let line = model.difference(from: path) { warn(line) }
        } else {
            warn(
                "its model \(model.title) is not found, and the default is used: name it with --model, or its folder "
                    + "with --model-dir"
            )
        }
    }

    /// A file of adapters or embeddings by its name, with or without its ending: in `--lora-dir` and below it, or else
    /// beside the picture and in the current folder.
    func file(named name: String) -> String? {
        guard let name = RecordedName.last(name) else { return nil }
        let file = name.hasSuffix(".safetensors") ? name : "\(name).safetensors"
        guard request.loraFolder == nil else {
            return folders.lazy.compactMap { $0.file(file) }.first
        }
        return [request.folder, FileManager.default.currentDirectoryPath].map { "\($0)/\(file)" }
            .first { FileKind($0) == .regular }
    }

    /// Adds an adapter; `weights` as `--lora` takes them.
    mutating func add(lora name: String, weights: String) {
        guard !isGiven("lora") else { return }
        if let path = file(named: name) {
            arguments.append("--lora=\(path):\(weights)")
        } else {
            warn("its LoRA '\(name)' is not found and left out: give its folder with --lora-dir")
        }
    }

    /// Adds the VAE that another program names.
    mutating func add(vae name: String) {
        if let path = part(named: name) {
            set("vae", path)
        } else if !isGiven("vae") {
            warn("its VAE '\(name)' is not found and left out: give it with --vae")
        }
    }

    /// Adds a textual inversion that is not there otherwise.
    mutating func add(embedding word: String, digest: String? = nil) {
        guard !isGiven("embedding") else { return }
        let found = file(named: word) ?? digest.flatMap(HashStart.init).flatMap(digests.file)
        if let path = found {
            arguments.append("--embedding=\(path):\(word)")
        } else {
            warn(
                "its textual inversion '\(word)' is not found and left out: give it with --embedding FILE:\(word)"
            )
        }
    }
}

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
        if !warnings.contains(line) { warnings.append(line) }
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

    /// A file of adapters or embeddings by its name, with or without its ending.
    func file(named name: String) -> String? {
        let stem = name.hasSuffix(".safetensors") ? String(name.dropLast(12)) : name
        let last = stem.split(whereSeparator: { "/\\".contains($0) }).last.map(String.init) ?? stem
        for folder in [request.folder, FileManager.default.currentDirectoryPath] {
            let path = "\(folder)/\(last).safetensors"
            if request.loraFolder == nil, FileKind(path) == .regular { return path }
        }
        guard let folder = request.loraFolder else { return nil }
        let direct = "\(folder)/\(last).safetensors"
        if FileKind(direct) == .regular { return direct }
        let items = FileManager.default.enumerator(atPath: folder)
        var found: [String] = []
        while let item = items?.nextObject() as? String {
            if item.split(separator: "/").last.map(String.init) == "\(last).safetensors" {
                found.append("\(folder)/\(item)")
            }
        }
        return found.count == 1 ? found[0] : nil
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
        if let path = file(named: word) ?? digest.flatMap(file(withDigest:)) {
            arguments.append("--embedding=\(path):\(word)")
        } else {
            warn(
                "its textual inversion '\(word)' is not found and left out: give it with --embedding FILE:\(word)"
            )
        }
    }

    /// A small file in the folders of the picture and of adapters with these first digits of its digest.
    private func file(withDigest digest: String) -> String? {
        let folders = [
            request.loraFolder, request.folder, FileManager.default.currentDirectoryPath,
        ]
        for folder in folders.compactMap(\.self) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for name in names.sorted() where name.hasSuffix(".safetensors") {
                let path = "\(folder)/\(name)"
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                guard let size = attributes?[.size] as? Int, size < 64 << 20 else { continue }
                if let own = try? FileDigest.of(path, cache: nil), own.hasPrefix(digest) {
                    return path
                }
            }
        }
        return nil
    }
}

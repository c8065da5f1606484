import Foundation

/// An adapter file and its weights, as given with `--lora FILE[:weight][:part=weight…]`.
package struct LoRASource: Equatable, Sendable, CustomStringConvertible {
    /// The weight of a part of the model.
    package struct Part: Equatable, Sendable {
        /// One of `unet`, `te`, `te1`, `te2`, `down`, `down.N`, `mid`, `up`, `up.N`.
        package let name: String
        package let weight: Float

        package init(_ name: String, _ weight: Float) { (self.name, self.weight) = (name, weight) }
    }

    /// Names that PEFT and Diffusers give to all their files: the folder's name says more.
    package static let commonNames = ["adapter_model", "pytorch_lora_weights"]

    package let path: String
    /// The weight of every part that has none of its own.
    package let weight: Float
    package let parts: [Part]

    package init(path: String, weight: Float = 1, parts: [Part] = []) {
        self.path = path
        self.weight = weight
        self.parts = parts
    }

    /// Parses `FILE`, `FILE:weight` or `FILE:weight:te=weight`; a file whose whole name exists takes precedence.
    ///
    /// - Throws: `InputError` if a weight is not a number from −100 to 100, or a part is unknown
    package init(argument: String) throws(InputError) {
        func number(_ text: Substring) throws(InputError) -> Float {
            guard let weight = Float(text), weight.isFinite, abs(weight) <= 100 else {
                throw InputError(
                    "--lora \(argument)",
                    "'\(text)' is not a weight from -100 to 100",
                    fix: "Write FILE, FILE:0.8 or FILE:0.8:te=0.5"
                )
            }
            return weight
        }
        var (rest, weight, parts) = (argument[...], Float(1), [Part]())
        while !FileManager.default.fileExists(atPath: String(rest)),
            let colon = rest.lastIndex(of: ":")
        {
            let text = rest[rest.index(after: colon)...]
            rest = rest[..<colon]
            guard text.contains("=") else {
                weight = try number(text)
                break
            }
            for item in text.split(separator: ",", omittingEmptySubsequences: false).reversed() {
                let pair = item.split(separator: "=", maxSplits: 1)
                guard pair.count == 2, Self.scope(String(pair[0])) != nil else {
                    throw InputError(
                        "--lora \(argument)",
                        "'\(item)' is not a part of a model with its weight",
                        fix: "Parts are unet, te, te1, te2, down, mid, up, and down.N, up.N"
                    )
                }
                guard !parts.contains(where: { $0.name == pair[0] }) else {
                    throw InputError(
                        "--lora \(argument)",
                        "'\(pair[0])' is there twice",
                        fix: "Name each part once"
                    )
                }
                parts.insert(Part(String(pair[0]), try number(pair[1])), at: 0)
            }
        }
        self.init(path: Self.file(String(rest)), weight: weight, parts: parts)
    }

    /// The adapter's file in a folder saved by PEFT or Diffusers; any other path unchanged.
    package static func file(_ path: String) -> String {
        guard FileKind(path) == .folder else { return path }
        let folder = path.hasSuffix("/") && path.count > 1 ? String(path.dropLast()) : path
        return commonNames.map { "\(folder)/\($0).safetensors" }
            .first { FileKind($0) == .regular } ?? path
    }

    /// The networks of a part, and the prefix of its modules' names; nil for an unknown part.
    static func scope(_ name: String) -> (components: [Component], prefix: String)? {
        switch name {
        case "unet": return ([.unet], "")
        case "te": return ([.textEncoder, .textEncoder2], "")
        case "te1": return ([.textEncoder], "")
        case "te2": return ([.textEncoder2], "")
        case "mid": return ([.unet], "mid_block.")
        case "down", "up": return ([.unet], "\(name)_blocks.")
        default:
            let pair = name.split(separator: ".", omittingEmptySubsequences: false)
            guard pair.count == 2, ["down", "up"].contains(pair[0]), let block = Int(pair[1]),
                (0..<16).contains(block)
            else { return nil }
            return ([.unet], "\(pair[0])_blocks.\(block).")
        }
    }

    /// The weight for a module: that of the smallest part that contains it.
    func weight(_ component: Component, _ module: String) -> Float {
        var best: (size: Int, weight: Float)?
        for part in parts {
            guard let scope = Self.scope(part.name), scope.components.contains(component),
                module.hasPrefix(scope.prefix)
            else { continue }
            // A longer prefix is a smaller part, and so is one encoder of two.
            let size = 2 * scope.prefix.count - scope.components.count
            if size > best?.size ?? .min { best = (size, part.weight) }
        }
        return best?.weight ?? weight
    }

    /// The weights as `init(argument:)` parses them: `0.8:te=0.5`.
    package var weights: String {
        "\(weight)" + parts.map { ":\($0.name)=\($0.weight)" }.joined()
    }

    /// The argument that `init(argument:)` parses.
    package var argument: String { "\(path):\(weights)" }

    /// The file's name and the weights.
    package var description: String {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        let stem = url.deletingPathExtension().lastPathComponent
        let folder = url.deletingLastPathComponent().lastPathComponent
        let isCommon = Self.commonNames.contains(stem) && !folder.isEmpty && folder != "/"
        return "\(isCommon ? "\(folder)/\(stem)" : stem):\(weights)"
    }
}

extension LoRASource {
    /// The file that `<lora:name:0.8>` names, with its weights: `<lora:name:te:unet>` or `<lora:name:0.8:te=0.5>`.
    ///
    /// - Parameters:
    ///   - tag: the tag in the prompt
    ///   - folder: the folder to search, with its subfolders
    /// - Throws: `InputError` for another kind of tag, a weight that is not a number, or a name that matches no file or
    ///   more than one
    package init(_ tag: PromptTag, folder: String?) throws(InputError) {
        func fault(_ problem: String, _ fix: String) -> InputError {
            InputError("--prompt: \(tag.text)", problem, fix: fix)
        }
        guard ["lora", "lyco"].contains(tag.kind) else {
            throw fault(
                "tags of this kind are not supported",
                "Use <lora:name:0.8>, or leave it out"
            )
        }
        guard let folder else {
            throw fault("the folder of LoRA files is not known", "Give it with --lora-dir")
        }
        let ending = ".safetensors"
        let name =
            tag.arguments[0].hasSuffix(ending)
            ? String(tag.arguments[0].dropLast(ending.count)) : tag.arguments[0]
        let paths = Self.files(named: name, in: folder)
        guard let path = paths.first, paths.count == 1 else {
            throw fault(
                paths.isEmpty
                    ? "there is no \(name).safetensors in \(folder)"
                    : "several files have this name: \(paths.joined(separator: ", "))",
                "Check the name and --lora-dir"
            )
        }
        var weights: [String] = []
        var parts: [String] = []
        for argument in tag.arguments.dropFirst() {
            if argument.contains("=") {
                parts.append(argument)
            } else {
                weights.append(argument)
            }
        }
        guard weights.count <= 2 else {
            throw fault("it has \(weights.count) weights", "Write <lora:name:te:unet>")
        }
        // The second number is the UNet's.
        if weights.count == 2 { parts.insert("unet=\(weights[1])", at: 0) }
        let all = [path, weights.first ?? "1"] + parts
        do {
            try self.init(argument: all.joined(separator: ":"))
        } catch {
            throw fault(error.problem, error.remedy)
        }
    }

    /// Files of this name, given without the extension, in a folder and its subfolders.
    private static func files(named name: String, in folder: String) -> [String] {
        guard !name.isEmpty, !name.split(separator: "/").contains("..") else { return [] }
        // A folder saved by PEFT or Diffusers.
        let saved = file("\(folder)/\(name)")
        if saved != "\(folder)/\(name)" { return [saved] }
        let direct = "\(folder)/\(name).safetensors"
        if FileManager.default.fileExists(atPath: direct) { return [direct] }
        let items = FileManager.default.enumerator(atPath: folder)
        var found: [String] = []
        while let item = items?.nextObject() as? String, found.count < 3 {
            let last = item.split(separator: "/").last ?? ""
            if last == "\(name).safetensors" { found.append("\(folder)/\(item)") }
        }
        return found.sorted()
    }
}

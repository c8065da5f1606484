import Engine
import Foundation

/// The model that a picture's text names.
struct RecordedModel {
    /// Name of a file or folder, with or without its extension; nil if only the hash is known.
    let name: String?
    /// What identifies its weights.
    let hash: Hash?

    enum Hash {
        /// Tessera's digest, which also covers the adapters and parts in the options.
        case digest(String, ModelOptions)
        /// The first digits of the file's SHA-256, as A1111 writes them.
        case sha256(HashStart)
    }

    init(name: String?, hash: Hash?) {
        // An empty name would match a file that is called ".safetensors".
        self.name = name.flatMap { Self.stem($0).isEmpty ? nil : $0 }
        self.hash = hash
    }

    /// Whether anything identifies it.
    var isNamed: Bool { name != nil || hash != nil }

    /// Whether its digest covers adapters, or parts from other files.
    var hasParts: Bool {
        if case .digest(_, let options)? = hash { options != ModelOptions() } else { false }
    }

    /// Name and start of the hash, for messages.
    var title: String {
        let short =
            switch hash {
            case .digest(let text, _)?: " (\(text.prefix(10)))"
            case .sha256(let start)?: " (\(start.digits))"
            case nil: ""
            }
        return "'\(name ?? "of unknown name")'" + short
    }

    private static func stem(_ name: String) -> String {
        let last = name.split(whereSeparator: { "/\\".contains($0) }).last.map(String.init) ?? name
        for ending in [".safetensors", ".ckpt"] where last.lowercased().hasSuffix(ending) {
            return String(last.dropLast(ending.count)).lowercased()
        }
        return last.lowercased()
    }

    private func hasName(_ path: String) -> Bool {
        name.map { Self.stem($0) == Self.stem(path) } ?? false
    }

    /// Whether a model has this hash; nil if unknown.
    private func hasHash(_ path: String) -> Bool? {
        switch hash {
        case nil: return nil
        case .digest(let digest, let options)?:
            guard
                let own = try? Model(path: path, options: options).digest()
            else { return nil }
            // A settings line records only its first digits.
            return own.hasPrefix(digest)
        case .sha256(let start)?:
            guard FileKind(path) == .regular, let own = try? FileHash.sha256(of: path) else {
                return nil
            }
            if start.begins(own) { return true }
            // A1111 once wrote eight digits of a hash over a part of the file.
            return start.digits.count == 8 ? nil : false
        }
    }

    /// A warning if another model is used; nil for the same one.
    func difference(from path: String) -> String? {
        let used = URL(fileURLWithPath: path).lastPathComponent
        switch hasHash(path) {
        case true?: return nil
        case false?: return "it was made with the model \(title); '\(used)' has other weights"
        case nil:
            return hasName(path) || name == nil
                ? nil : "it was made with the model \(title), and '\(used)' is used"
        }
    }

    /// Finds the model by its name; the hash decides if several models have that name, or none does.
    ///
    /// - Parameter folder: folder of models; the bundled ones are searched as well
    /// - Returns: its path; nil if it is not found
    func find(in folder: String?) -> String? {
        let bundled = (try? ModelLocation.resolve(nil))
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        let all = [folder, bundled].compactMap(\.self).flatMap { Self.models(in: $0) }
        let named = all.filter { hasName($0) && Self.isModel($0) }
        if named.count > 1, let exact = named.first(where: { hasHash($0) == true }) { return exact }
        if let first = named.first { return first }
        return hash == nil ? nil : all.first { Self.isModel($0) && hasHash($0) == true }
    }

    /// Whether a path leads to a model rather than to an adapter or a part, according to its header.
    private static func isModel(_ path: String) -> Bool {
        FileKind(path) == .folder || Model.isModel(path)
    }

    private static let maxDepth = 4

    /// Models in a folder and below it.
    private static func models(in folder: String, depth: Int = 0) -> [String] {
        if FileKind("\(folder)/model_index.json") == .regular { return [folder] }
        guard depth < maxDepth,
            let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
        else { return [] }
        return names.sorted().flatMap { name in
            let path = "\(folder)/\(name)"
            switch FileKind(path) {
            case .folder?: return models(in: path, depth: depth + 1)
            case .regular?: return name.hasSuffix(".safetensors") ? [path] : []
            default: return []
            }
        }
    }
}

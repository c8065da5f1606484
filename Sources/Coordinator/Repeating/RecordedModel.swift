import Engine
import Foundation

/// The model that a picture's text names.
struct RecordedModel {
    /// A file's or a folder's name, with or without its ending; nil where only the hash is known.
    let name: String?
    /// What identifies its weights.
    let hash: Hash?

    enum Hash {
        /// Tessera's digest, over the adapters and parts of the options, too.
        case digest(String, ModelOptions)
        /// The first digits of the file's SHA-256, as A1111 writes them.
        case sha256(HashStart)
    }

    init(name: String?, hash: Hash?) {
        // An empty name would be that of a file that is called ".safetensors".
        self.name = name.flatMap { Self.stem($0).isEmpty ? nil : $0 }
        self.hash = hash
    }

    /// Whether anything identifies it.
    var isNamed: Bool { name != nil || hash != nil }

    /// Whether its digest is that of a model with adapters, or with parts from elsewhere.
    var hasParts: Bool {
        if case .digest(_, let options)? = hash { options != ModelOptions() } else { false }
    }

    /// For messages.
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

    /// Whether a model has the hash; nil where that is not known.
    private func hasHash(_ path: String) -> Bool? {
        switch hash {
        case nil: return nil
        case .digest(let digest, let options)?:
            guard
                let own = try? Model(path: path, options: options).digest()
            else { return nil }
            // A line of settings has only its first digits.
            return own.hasPrefix(digest)
        case .sha256(let start)?:
            guard FileKind(path) == .regular, let own = try? FileHash.sha256(of: path) else {
                return nil
            }
            if start.begins(own) { return true }
            // A1111 once wrote eight digits of the hash of a part of the file.
            return start.digits.count == 8 ? nil : false
        }
    }

    /// What to say where another model is used; nil for the same one.
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

    /// Looks for the model: by its name, and among several of that name, or where none has it, by its hash.
    ///
    /// - Parameter folder: of models; those that come with the program are searched as well
    /// - Returns: its path, nil where it is not found
    func find(in folder: String?) -> String? {
        let bundled = (try? ModelLocation.resolve(nil))
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        let all = [folder, bundled].compactMap(\.self).flatMap { Self.models(in: $0) }
        let named = all.filter { hasName($0) && Self.isModel($0) }
        if named.count > 1, let exact = named.first(where: { hasHash($0) == true }) { return exact }
        if let first = named.first { return first }
        return hash == nil ? nil : all.first { Self.isModel($0) && hasHash($0) == true }
    }

    /// Whether a path is that of a model, and not of an adapter or of a part: by its header.
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

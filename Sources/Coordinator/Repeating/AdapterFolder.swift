import Engine
import Foundation

/// Index of the safetensors files in a folder and below it, by name: listed once. Used by one thread.
final class AdapterFolder {
    let path: String
    private lazy var files: [String: [String]] = {
        var found: [String: [String]] = [:]
        let items = FileManager.default.enumerator(atPath: path)
        while let item = items?.nextObject() as? String {
            guard let name = item.split(separator: "/").last, name.hasSuffix(".safetensors") else {
                continue
            }
            found[String(name), default: []].append("\(path)/\(item)")
        }
        return found
    }()

    init(_ path: String) { self.path = path }

    /// Finds a file by its name: the one in the folder itself, or the only one below it.
    ///
    /// - Parameter name: file name with its extension, and with its folder if that matters
    /// - Returns: its path; nil if there is none, or there are several
    func file(_ name: String) -> String? {
        let direct = "\(path)/\(name)"
        if FileKind(direct) == .regular { return direct }
        let last = name.split(separator: "/").last.map(String.init) ?? name
        let found = (files[last] ?? []).filter {
            $0.hasSuffix("/\(name)") && FileKind($0) == .regular
        }
        return found.count == 1 ? found[0] : nil
    }
}

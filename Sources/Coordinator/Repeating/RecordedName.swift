import Engine
import Foundation

/// The name of a file that a picture's text gives. Pure.
///
/// A picture may come from a stranger. So its text gives names and no paths: folders in it are dropped, and a person's
/// flags say where to look.
enum RecordedName {
    /// Bytes that file systems allow.
    private static let maxBytes = 255

    /// The last component.
    ///
    /// - Parameters:
    ///   - text: as recorded
    ///   - separators: of folders: those of Windows, too, for other programs
    /// - Returns: nil for what cannot be the name of a file in a folder
    static func last(_ text: String, separators: String = "/\\") -> String? {
        let name = text.split(whereSeparator: { separators.contains($0) }).last.map(String.init)
        guard let name, ![".", ".."].contains(name), name.utf8.count <= maxBytes,
            !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        return name
    }
}

/// The safetensors files in a folder and below it, by name: listed once. Used by one thread.
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

    /// The file of a name: the one in the folder itself, or the only one below it.
    ///
    /// - Parameter name: with its ending
    /// - Returns: its path; nil for none, or several
    func file(_ name: String) -> String? {
        let direct = "\(path)/\(name)"
        if FileKind(direct) == .regular { return direct }
        let found = (files[name] ?? []).filter { FileKind($0) == .regular }
        return found.count == 1 ? found[0] : nil
    }
}

/// Digests of the small safetensors files in some folders, computed once. Used by one thread.
final class DigestedFiles {
    /// In bytes: those of textual inversions have less.
    private static let maxSize = 64 << 20

    private let folders: [String]
    private lazy var digests: [(path: String, digest: String)] = {
        var digests: [(path: String, digest: String)] = []
        for folder in folders {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            for name in names.sorted() where name.hasSuffix(".safetensors") {
                let path = "\(folder)/\(name)"
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                guard let size = attributes?[.size] as? Int, size < Self.maxSize,
                    let digest = try? FileDigest.of(path, cache: nil)
                else { continue }
                digests.append((path, digest))
            }
        }
        return digests
    }()

    init(_ folders: [String]) { self.folders = folders }

    /// The first file whose digest begins so.
    func file(_ start: HashStart) -> String? { digests.first { start.begins($0.digest) }?.path }
}

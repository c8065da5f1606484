import Engine
import Foundation

/// The models that clients may choose from: the default one and those in a folder.
package struct ModelCatalogue: Sendable {
    package struct Entry: Equatable, Sendable {
        /// The model's name for clients.
        package let name: String
        package let path: String
        package let isDefault: Bool

        /// When its file or folder last changed, in seconds since 1970; 0 if unknown.
        var changed: Double {
            let facts = try? FileManager.default.attributesOfItem(atPath: path)
            return (facts?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        }

        package init(name: String, path: String, isDefault: Bool) {
            (self.name, self.path, self.isDefault) = (name, path, isDefault)
        }
    }

    /// Path of the default model.
    private let standard: String
    /// Folder of further models; nil if there is none.
    private let folder: String?

    package init(standard: String, folder: String?) {
        (self.standard, self.folder) = (standard, folder)
    }

    /// Name of the default model.
    package var standardName: String { Self.name(of: standard) }

    /// All models, the default one first. The folder is read each time, because models may be added while the service
    /// runs.
    package var entries: [Entry] {
        var entries = [
            Entry(name: Self.name(of: standard), path: standard, isDefault: true)
        ]
        guard let folder else { return entries }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names.sorted() where !name.hasPrefix(".") {
            let path = "\(folder)/\(name)"
            let isModel =
                name.hasSuffix(".safetensors")
                || FileManager.default.fileExists(atPath: "\(path)/model_index.json")
            let own = Self.name(of: path)
            guard isModel, !entries.contains(where: { $0.name == own }) else { continue }
            entries.append(Entry(name: own, path: path, isDefault: false))
        }
        return entries
    }

    /// Finds a model by name; text from a client never becomes part of a path.
    ///
    /// - Parameter name: nil for the default model
    /// - Returns: the model
    /// - Throws: `InputError` for an unknown name
    package func find(_ name: String?) throws(InputError) -> Entry {
        let entries = entries
        guard let name else { return entries[0] }
        guard let entry = entries.first(where: { $0.name == name }) else {
            let shown = entries.prefix(20).map(\.name).joined(separator: ", ")
            throw InputError(
                "model",
                "there is no model '\(name.prefix(100))'",
                fix: "Choose from " + shown + (entries.count > 20 ? " and others" : "")
            )
        }
        return entry
    }

    private static func name(of path: String) -> String {
        let last = URL(fileURLWithPath: path).lastPathComponent
        let ending = ".safetensors"
        return last.hasSuffix(ending) ? String(last.dropLast(ending.count)) : last
    }
}

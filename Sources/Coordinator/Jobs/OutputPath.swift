import Engine
import Foundation

/// Checks the path of an output file before anything is rendered. Writes nothing.
package enum OutputPath {
    /// Maximum length of a path in bytes: systems accept 4096, including the terminating zero.
    package static let maxBytes = 4095
    /// Maximum length of a file name in bytes: file systems accept 255.
    private static let maxName = 255
    /// Bytes reserved for the suffix of a temporary file, or for the number that is added to a taken name.
    private static let reserve = 15

    /// Rejects a path that cannot become a file.
    ///
    /// - Parameters:
    ///   - path: the file's path
    ///   - flag: the flag that named it
    ///   - fixedFolder: the folder that must exist; nil for the file's own folder
    /// - Throws: `InputError` naming the flag
    package static func check(
        _ path: String,
        flag: String,
        fixedFolder: String? = nil
    ) throws(InputError) {
        let place = "\(flag) \(path)"
        guard !path.isEmpty, !path.hasSuffix("/") else {
            throw InputError(place, "it does not end in the name of a file", fix: "Name a file")
        }
        guard !path.utf8.contains(0) else {
            throw InputError(place, "it has a NUL character", fix: "Remove it")
        }
        guard path.utf8.count <= maxBytes - reserve else {
            throw InputError(
                place,
                "the path has \(path.utf8.count) bytes",
                fix: "Use at most \(maxBytes - reserve)"
            )
        }
        let names = path.split(separator: "/")
        for (i, name) in names.enumerated() {
            let limit = i == names.count - 1 ? maxName - reserve : maxName
            guard name.utf8.count <= limit else {
                throw InputError(
                    place,
                    "the name '\(name.prefix(20))…' has \(name.utf8.count) bytes",
                    fix: "Use at most \(limit)"
                )
            }
        }
        let name = names.last ?? ""
        let stem = name.lastIndex(of: ".").map { name[..<$0] } ?? name
        guard stem.contains(where: { $0 != "." }) else {
            throw InputError(
                place,
                "there is nothing before the extension",
                fix: "Name the file, such as out.png"
            )
        }
        let folder =
            fixedFolder ?? URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard FileKind(folder) == .folder, access(folder, W_OK) == 0 else {
            throw InputError(
                place,
                "the folder \(folder) cannot be written to",
                fix: "Create it or choose another"
            )
        }
        // A finished file replaces whatever has its name, which would remove a pipe or a device.
        switch FileKind(path) {
        case .none, .regular: return
        case .folder: throw InputError(place, "it is a folder", fix: "Name a file in it")
        case .special:
            throw InputError(
                place,
                "it is a pipe, a socket or a device",
                fix: "Name a regular file"
            )
        }
    }

    /// Rejects a file that would replace one that the render reads, even under another name.
    ///
    /// - Parameters:
    ///   - path: path of the file to be written
    ///   - flag: the flag that named it
    ///   - sources: files that are read, with their roles
    /// - Throws: `InputError` naming the flag
    static func check(
        _ path: String,
        flag: String,
        isNoneOf sources: [(role: String, path: String)]
    ) throws(InputError) {
        guard let own = FileIdentity(of: path) else { return }
        for source in sources where FileIdentity(of: source.path)?.isSameFile(as: own) == true {
            throw InputError(
                "\(flag) \(path)",
                "it is \(source.role), which the result would replace",
                fix: "Choose another name"
            )
        }
    }
}

import Foundation

/// Folders that only their owner can access.
package enum PrivateFolder {
    /// Creates a folder and its parents, unless it exists.
    ///
    /// - Throws: `InputError` if it cannot be created
    package static func make(_ path: String) throws(InputError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw InputError(path, "the folder cannot be made", fix: "Make its parent writable")
        }
    }
}

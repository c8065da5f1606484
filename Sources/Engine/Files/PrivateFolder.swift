import Foundation

/// Folders that only their owner may enter.
package enum PrivateFolder {
    /// Makes one, and the folders above it, unless it is there.
    ///
    /// - Throws: `InputError` when it cannot be made
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

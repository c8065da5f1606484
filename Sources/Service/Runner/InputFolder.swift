import Coordinator
import Engine
import Foundation
import Glibc

/// Pictures that clients have sent as init images or masks. Each file is named by its digest, so that a picture is
/// stored only once and nobody can guess the name of another user's.
package struct InputFolder: Sendable {
    let path: String
    /// Limits on each picture.
    let limits: PictureLimits
    /// Maximum bytes of all pictures.
    let most: Int

    /// How long a picture that no job uses is kept, in seconds.
    package static let keepSeconds = 86_400.0

    package init(path: String, limits: PictureLimits, most: Int = ServiceLimits().inputBytes) {
        (self.path, self.limits, self.most) = (path, limits, most)
    }

    /// Id and size of a stored picture.
    package struct Stored: Equatable, Sendable {
        package let id: String
        package let width: Int
        package let height: Int
    }

    /// Stores a picture; it is on disk when this returns.
    ///
    /// - Parameters:
    ///   - bytes: contents of a PNG, JPEG, WebP or TIFF file
    ///   - field: the field that contained it
    /// - Returns: the id by which jobs refer to it, and its size
    /// - Throws: `InputError` naming the field if the picture cannot be read, `LimitExceeded`, `OutputError`
    package func add(_ bytes: some Collection<UInt8>, field: String) throws -> Stored {
        try ServiceFolder.create(path)
        let sum = bytes.count + stored
        guard sum <= most else {
            throw LimitExceeded("input-bytes", limit: most, found: sum, .later)
        }
        let file = try TemporaryFile(for: "\(path)/new")
        try file.write(Array(bytes))
        guard fsync(file.descriptor) == 0 else {
            throw OutputError(path, "the disk is full or broken")
        }
        let (width, height) = try check(file.temporaryPath, field)
        let id = try FileDigest.of(file.temporaryPath, cache: nil)
        // The temporary name is removed when `file` is destroyed.
        if link(file.temporaryPath, name(id)) != 0 {
            guard errno == EEXIST else { throw OutputError(path, String(cString: strerror(errno))) }
            _ = utimensat(AT_FDCWD, name(id), nil, 0)
        }
        return Stored(id: id, width: width, height: height)
    }

    /// Total bytes of stored pictures.
    private var stored: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.reduce(0) { sum, name in
            var status = stat()
            return stat("\(path)/\(name)", &status) == 0 ? sum + Int(status.st_size) : sum
        }
    }

    private func check(_ path: String, _ field: String) throws -> (width: Int, height: Int) {
        let picture: PictureFile
        do {
            picture = try PictureFile(path)
        } catch {
            guard !error.isSystemLimit else { throw error }
            throw InputError(field, error.problem, fix: "Send a PNG, JPEG, WebP or TIFF")
        }
        guard picture.width * picture.height <= limits.pixels else {
            throw LimitExceeded(
                "init-pixels",
                limit: limits.pixels,
                found: picture.width * picture.height,
                .request
            )
        }
        return (picture.width, picture.height)
    }

    /// Path of a stored picture.
    ///
    /// - Throws: `InputError` naming the field if there is none
    func file(of id: String, field: String) throws(InputError) -> String {
        // A client's text becomes part of a path only if it is a digest.
        guard Self.isID(id), FileKind(name(id)) == .regular else {
            throw InputError(
                field,
                "there is no picture '\(id.prefix(80))'",
                fix: "Send it to /api/v1/pictures, and use the id in the response"
            )
        }
        // Mark it as recently used.
        _ = utimensat(AT_FDCWD, name(id), nil, 0)
        return name(id)
    }

    private func name(_ id: String) -> String { "\(path)/\(id)" }

    private static func isID(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Deletes pictures that no job uses, a day after they were last used.
    ///
    /// - Parameters:
    ///   - used: ids that jobs refer to
    ///   - now: seconds since 1970
    package func sweep(keeping used: Set<String>, now: Double) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        for name in names where !used.contains(name) {
            var status = stat()
            guard stat("\(path)/\(name)", &status) == 0,
                now - Double(status.st_mtim.tv_sec) > Self.keepSeconds
            else { continue }
            unlink("\(path)/\(name)")
        }
    }
}

import Coordinator
import Engine
import Foundation
import Glibc

/// Pictures that clients have sent, to start from or as masks. Each is a file with its digest as its name: the same
/// picture is stored once, and nobody can guess the name of another's.
package struct InputFolder: Sendable {
    let path: String
    /// On the pixels of each.
    let limits: PictureLimits
    /// Bytes of all of them.
    let most: Int

    /// Seconds for which a picture that no job uses is kept.
    package static let keepSeconds = 86_400.0

    package init(path: String, limits: PictureLimits, most: Int = ServiceLimits().inputBytes) {
        (self.path, self.limits, self.most) = (path, limits, most)
    }

    /// What a stored picture is.
    package struct Stored: Equatable, Sendable {
        package let id: String
        package let width: Int
        package let height: Int
    }

    /// Stores a picture, on disk before this returns.
    ///
    /// - Parameters:
    ///   - bytes: a PNG, JPEG, WebP or TIFF
    ///   - field: that had it
    /// - Returns: what jobs name it by, and its size
    /// - Throws: `InputError` naming the field when it cannot be read, `LimitExceeded`, `OutputError`
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
        // The temporary name is removed with the object.
        if link(file.temporaryPath, name(id)) != 0 {
            guard errno == EEXIST else { throw OutputError(path, String(cString: strerror(errno))) }
            _ = utimensat(AT_FDCWD, name(id), nil, 0)
        }
        return Stored(id: id, width: width, height: height)
    }

    /// Bytes of all of them.
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

    /// The file of a stored picture.
    ///
    /// - Throws: `InputError` naming the field when there is none
    func file(of id: String, field: String) throws(InputError) -> String {
        // What a client sends is part of a path only if it is a digest.
        guard Self.isID(id), FileKind(name(id)) == .regular else {
            throw InputError(
                field,
                "there is no picture '\(id.prefix(80))'",
                fix: "Send it to /api/v1/pictures, and give the id that is answered"
            )
        }
        // It is in use.
        _ = utimensat(AT_FDCWD, name(id), nil, 0)
        return name(id)
    }

    private func name(_ id: String) -> String { "\(path)/\(id)" }

    private static func isID(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Deletes pictures that no job uses, a day after they were last named.
    ///
    /// - Parameters:
    ///   - used: ids that jobs name
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

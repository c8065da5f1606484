import Engine
import Sampling

/// A picture that a render begins with, and its digest.
package final class InitPicture {
    package let file: PictureFile
    /// BLAKE2b-256 of the file.
    package let digest: String
    /// Scaled in advance.
    private var prepared: ScaledPicture?

    /// Reads all that precedes the rows, and the whole file once for its digest.
    ///
    /// - Throws: `InputError` when it is missing or of no use
    package init(_ path: String) throws(InputError) {
        file = try PictureFile(path)
        digest = try FileDigest.of(path, cache: nil)
    }

    package var size: Extent { Extent(height: file.height, width: file.width) }

    /// Reads the whole picture for its first use, to learn now whether it can be read.
    ///
    /// - Throws: as `ScaledPicture.init`
    package func prepare(_ size: Extent, frame: PictureFrame) throws {
        prepared = try scaled(to: size, frame: frame)
    }

    /// The picture at a size.
    ///
    /// - Throws: as `ScaledPicture.init`
    func scaled(to size: Extent, frame: PictureFrame) throws -> ScaledPicture {
        defer { prepared = nil }
        if let prepared, (prepared.height, prepared.width) == (size.height, size.width) {
            return prepared
        }
        return try ScaledPicture(file, frame: frame, height: size.height, width: size.width)
    }
}

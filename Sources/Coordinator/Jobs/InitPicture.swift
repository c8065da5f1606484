import Engine
import Sampling

/// Limits on the size of an untrusted picture, and on the time for reading it. A PNG of 100 KB
/// can claim a thousand million pixels, and contain them.
package struct PictureLimits: Equatable, Sendable {
    package var pixels: Int
    /// Nil for no limit.
    package var seconds: Double?

    /// 134 million pixels, three seconds of reading: 11,585×11,585.
    package static let defaultPixels = 1 << 27
    package static let maxPixels = PictureFile.largestArea

    package init(pixels: Int = defaultPixels, seconds: Double? = nil) {
        (self.pixels, self.seconds) = (pixels, seconds)
    }
}

/// An init image, and its digest.
package final class InitPicture {
    package let file: PictureFile
    /// BLAKE2b-256 of the file.
    package let digest: String
    private let limits: PictureLimits
    /// Scaled in advance.
    private var prepared: ScaledPicture?

    /// Reads all that precedes the rows, and the whole file once for its digest.
    ///
    /// - Throws: `InputError` when it is missing, unusable, or has more pixels than allowed
    package init(_ path: String, limits: PictureLimits = PictureLimits()) throws(InputError) {
        self.limits = limits
        file = try PictureFile(path)
        let area = file.width * file.height
        guard area <= limits.pixels else {
            throw InputError(
                path,
                "it has \(file.width)×\(file.height) pixels, and at most \(limits.pixels) are read",
                fix: "Scale it down, or raise the limit: --max-init-pixels \(area)"
            )
        }
        digest = try FileDigest.of(path, cache: nil)
    }

    package var size: Extent { Extent(height: file.height, width: file.width) }

    /// Reads the whole picture for its first use, to detect now whether it can be read.
    ///
    /// - Parameters:
    ///   - size: that it is scaled to
    ///   - frame: the crop of it
    ///   - report: is passed the fraction that is read, about once a second
    /// - Throws: as `ScaledPicture.init`, and what `report` throws; `InputError` when it takes too long
    package func prepare(
        _ size: Extent,
        frame: PictureFrame,
        report: (Double) throws -> Void = { _ in }
    ) throws {
        prepared = try scaled(to: size, frame: frame, report: report)
    }

    /// The picture at a size.
    ///
    /// - Throws: as `prepare`
    func scaled(
        to size: Extent,
        frame: PictureFrame,
        report: (Double) throws -> Void = { _ in }
    ) throws -> ScaledPicture {
        defer { prepared = nil }
        if let prepared, (prepared.height, prepared.width) == (size.height, size.width) {
            return prepared
        }
        let start = ContinuousClock.now
        var told = start
        return try ScaledPicture(
            file,
            frame: frame,
            height: size.height,
            width: size.width
        ) { share in
            let now = ContinuousClock.now
            if let limit = limits.seconds, now - start > .seconds(limit) {
                throw InputError(
                    file.path,
                    "reading it takes longer than \(limit) seconds",
                    fix: "Use a smaller picture"
                )
            }
            guard now - told >= .seconds(1) else { return }
            told = now
            try report(share)
        }
    }
}

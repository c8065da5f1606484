import Engine
import Sampling

/// Limits on the size of an untrusted picture, and on the time for reading it. A PNG of 100 KB can claim a billion
/// pixels, and contain them.
package struct PictureLimits: Equatable, Sendable {
    package var pixels: Int
    /// Maximum reading time; nil for no limit.
    package var seconds: Double?

    /// 134 million pixels, which take three seconds to read: 11,585×11,585.
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
    /// How far it grows beyond its edges.
    private let growth: PictureGrowth
    /// The picture as scaled in advance by `prepare`.
    private var prepared: ScaledPicture?

    /// Reads everything before the rows, and the whole file once for its digest.
    ///
    /// - Throws: `InputError` if it is missing, unusable, or has more pixels than allowed
    ///
    /// - Parameters:
    ///   - path: the file's path
    ///   - limits: limits on its size and reading time
    ///   - growth: how far it grows beyond its edges
    ///   - flag: the flag that named it
    package init(
        _ path: String,
        limits: PictureLimits = PictureLimits(),
        growth: PictureGrowth = PictureGrowth(),
        flag: String = "--init-image"
    ) throws(InputError) {
        (self.limits, self.growth) = (limits, growth)
        file = try PictureFile(path)
        let area = file.width * file.height
        guard area <= limits.pixels else {
            throw InputError(
                flag == "--init-image" ? path : "\(flag) \(path)",
                "it has \(file.width)×\(file.height) pixels, and at most \(limits.pixels) are read",
                fix: "Scale it down, or raise the limit: --max-init-pixels \(area)"
            )
        }
        let grown = growth.size(of: Extent(height: file.height, width: file.width))
        guard grown.area <= max(limits.pixels, area) else {
            throw InputError(
                "--extend \(growth.written)",
                "the picture grows to \(grown) pixels, and at most \(limits.pixels) are read",
                fix: "Extend it by less, or raise the limit: --max-init-pixels \(grown.area)"
            )
        }
        digest = try FileDigest.of(path, cache: nil)
    }

    /// File name, without its folder.
    var name: String { file.path.split(separator: "/").last.map(String.init) ?? "" }

    /// Size before it grows.
    var ownSize: Extent { Extent(height: file.height, width: file.width) }

    /// Size after it has grown.
    package var size: Extent { growth.size(of: ownSize) }

    /// Reads the whole picture in advance, so that an unreadable one is detected now.
    ///
    /// - Parameters:
    ///   - size: size that it is scaled to
    ///   - frame: the part of it that is used
    ///   - report: called with the fraction read so far, about once a second
    /// - Throws: as `ScaledPicture.init`, and what `report` throws; `InputError` if it takes too long
    package func prepare(
        _ size: Extent,
        frame: PictureFrame,
        report: (Double) throws -> Void = { _ in }
    ) throws {
        prepared = try scaled(to: size, frame: frame, report: report)
    }

    /// The picture, scaled to a size.
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
        var lastReport = start
        func observe(_ share: Double) throws {
            let now = ContinuousClock.now
            if let limit = limits.seconds, now - start > .seconds(limit) {
                throw InputError(
                    file.path,
                    "reading it takes longer than \(limit) seconds",
                    fix: "Use a smaller picture"
                )
            }
            guard now - lastReport >= .seconds(1) else { return }
            lastReport = now
            try report(share)
        }
        return try ScaledPicture(
            frame,
            of: (self.size.height, self.size.width),
            height: size.height,
            width: size.width,
            numbers: .rounded
        ) { take in
            guard !growth.isNone else { return try file.rows(observe: observe, take) }
            try growth.repeatingEdges(
                width: file.width,
                rows: { try file.rows(observe: observe, $0) },
                take
            )
        }
    }
}

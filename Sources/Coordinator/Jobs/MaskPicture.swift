import Engine
import Sampling

/// Which part of an init image changes: the white part of a mask, and what `--extend` adds.
package final class MaskPicture {
    /// The mask's file; nil if only the new part of a grown picture changes.
    private let file: InitPicture?
    /// Size of the init image before it grows.
    private let picture: Extent
    private let growth: PictureGrowth

    /// - Parameters:
    ///   - choice: the mask's file
    ///   - picture: size of the init image before it grows
    ///   - growth: how far the init image grows
    /// - Throws: `InputError` if the file is missing, unusable, or has more pixels than allowed
    init(_ choice: PictureChoice?, of picture: Extent, growth: PictureGrowth) throws(InputError) {
        file = try choice.map { choice throws(InputError) in
            try InitPicture(choice.path, limits: choice.limits, flag: "--mask")
        }
        (self.picture, self.growth) = (picture, growth)
    }

    /// Name and digest of the file, if there is one.
    var identity: (name: String, digest: String)? {
        file.map { ($0.name, $0.digest) }
    }

    /// The mask scaled to a size, not yet thresholded to black and white.
    ///
    /// - Parameters:
    ///   - size: in pixels
    ///   - frame: the crop of the init image
    /// - Returns: the scaled mask
    /// - Throws: `InputError` if the file is damaged, `OutputError` if the disk is full
    func scaled(to size: Extent, frame: PictureFrame) throws -> ScaledPicture {
        // The mask may have a different resolution from the picture.
        let (down, across): (Double, Double)
        let own: Extent
        if let file, growth.isNone {
            own = file.size
            down = Double(own.height) / Double(picture.height)
            across = Double(own.width) / Double(picture.width)
        } else {
            (own, down, across) = (growth.size(of: picture), 1, 1)
        }
        func part(_ range: Range<Double>, _ scale: Double, _ length: Int) -> Range<Double> {
            let start = range.lowerBound * scale
            return start..<min(Double(length), max(start, range.upperBound * scale))
        }
        let frame = PictureFrame(
            rows: part(frame.rows, down, own.height),
            columns: part(frame.columns, across, own.width)
        )
        if let file, growth.isNone { return try file.scaled(to: size, frame: frame) }
        var inner: ScaledPicture?
        if let file {
            let whole = PictureFrame(
                rows: 0..<Double(file.size.height),
                columns: 0..<Double(file.size.width)
            )
            inner = try file.scaled(to: picture, frame: whole)
        }
        return try ScaledPicture(
            frame,
            of: (own.height, own.width),
            height: size.height,
            width: size.width,
            numbers: .rounded
        ) { take in
            try growth.masking(picture, rows: inner?.eachRow, take)
        }
    }

    /// The mask of a latent: 1 where any pixel behind a latent pixel changes.
    ///
    /// - Parameters:
    ///   - latent: size of the latent
    ///   - factor: pixels per latent pixel along a side
    ///   - frame: the crop of the init image
    /// - Returns: `[1, height, width, 1]`
    /// - Throws: as `scaled`
    func latent(_ latent: Extent, factor: Int, frame: PictureFrame) throws -> Tensor {
        let size = Extent(height: latent.height * factor, width: latent.width * factor)
        let scaled = try scaled(to: size, frame: frame)
        return try Tensor(shape: [1, latent.height, latent.width, 1]) { out in
            for row in 0..<latent.height {
                let rows = row * factor..<(row + 1) * factor
                let part = try scaled.part(Region(rows: rows, columns: 0..<size.width))
                let changes = Self.changes(part)
                for column in 0..<latent.width {
                    let isChanged = (0..<factor).contains { y in
                        (0..<factor).contains { changes[y * size.width + column * factor + $0] }
                    }
                    out[row * latent.width + column] = isChanged ? 1 : 0
                }
            }
        }
    }

    /// Which pixels of a part of the mask change: those whose luma is at least half that of white.
    ///
    /// - Parameter part: `[1, rows, columns, 3]`, −1…1
    /// - Returns: one value for each pixel
    static func changes(_ part: Tensor) -> [Bool] {
        part.withFloats { x in
            (0..<x.count / 3).map { i -> Bool in
                let red = 0.299 * x[3 * i]
                let green = 0.587 * x[3 * i + 1]
                let blue = 0.114 * x[3 * i + 2]
                return red + green + blue >= 0
            }
        }
    }
}

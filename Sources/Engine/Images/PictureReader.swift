/// Which samples a pixel has.
struct PixelLayout: Equatable, Sendable {
    enum Colour: Int, Sendable {
        case grey = 1
        case rgb = 3
        /// Shares of ink.
        case cmyk = 4
    }

    let colour: Colour
    /// Whether opacity follows the colours; they are not multiplied by it.
    let hasAlpha: Bool

    var channels: Int { colour.rawValue + (hasAlpha ? 1 : 0) }
}

/// One picture, read from its beginning as it is stored.
///
/// Used by one thread at a time.
protocol PictureReader: AnyObject {
    /// Columns.
    var width: Int { get }
    /// Rows.
    var height: Int { get }
    var layout: PixelLayout { get }
    var colours: ColourDescription { get }
    var orientation: Orientation { get }

    /// Reads all rows of samples as they are stored, 16 bits each.
    ///
    /// - Parameters:
    ///   - observe: is passed the fraction that is read
    ///   - body: is passed each row, from the first, valid for the call; it may modify it
    /// - Throws: `InputError` when the file is damaged, `OutputError` when the disk is full,
    ///   and whatever `observe` and `body` throw
    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws
}

extension PictureReader {
    /// Columns and rows of the upright picture.
    var uprightSize: (width: Int, height: Int) {
        orientation.exchangesSides ? (height, width) : (width, height)
    }

    /// The conversion of its samples to sRGB.
    ///
    /// - Parameter path: of the file
    /// - Returns: nil where the colours are sRGB already
    /// - Throws: `InputError` for colours that cannot be converted
    func conversion(_ path: String) throws(InputError) -> (any PixelConversion)? {
        try colours.conversion(from: layout.colour, path: path)
    }

    /// Reads all rows of samples of the upright picture.
    ///
    /// - Throws: as `rows`
    func uprightRows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        try withoutActuallyEscaping(observe) { observe in
            try orientation.upright(ObservedRows(reader: self, observe: observe), body)
        }
    }
}

/// The rows of a reader that reports its progress.
private struct ObservedRows: StoredRows {
    let reader: any PictureReader
    let observe: (Double) throws -> Void

    var width: Int { reader.width }
    var height: Int { reader.height }
    var channels: Int { reader.layout.channels }

    func rows(_ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void) throws {
        try reader.rows(observe, body)
    }
}

extension InputError {
    /// A picture that cannot be read to its end.
    ///
    /// - Parameters:
    ///   - path: of the file
    ///   - kind: "PNG"
    ///   - reason: what is wrong, or missing
    /// - Returns: the error
    static func damagedPicture(_ path: String, _ kind: String, _ reason: String) -> InputError {
        InputError(
            path,
            "it is not a whole \(kind): \(reason)",
            fix: "Name a picture, or fetch it again"
        )
    }
}

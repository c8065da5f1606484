/// Which samples a pixel has.
struct PixelLayout: Equatable, Sendable {
    enum Colour: Int, Sendable {
        case grey = 1
        case rgb = 3
        /// Amounts of ink.
        case cmyk = 4
    }

    let colour: Colour
    /// Whether an opacity sample follows the colours (not premultiplied).
    let hasAlpha: Bool

    var channels: Int { colour.rawValue + (hasAlpha ? 1 : 0) }
}

/// One pass through a picture from its beginning, as it is stored.
///
/// Used by one thread at a time.
protocol PictureReader: AnyObject {
    /// Number of columns.
    var width: Int { get }
    /// Number of rows.
    var height: Int { get }
    var layout: PixelLayout { get }
    var colours: ColourDescription { get }
    var orientation: Orientation { get }

    /// Reads all rows of samples as stored, as 16 bits each.
    ///
    /// - Parameters:
    ///   - observe: receives the fraction that has been read
    ///   - body: receives each row in order, valid during the call; it may modify it
    /// - Throws: `InputError` if the file is damaged, `OutputError` if the disk is full, and
    ///   whatever `observe` and `body` throw
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

    /// Makes the conversion of the samples to sRGB.
    ///
    /// - Parameter path: path of the file, for errors
    /// - Returns: nil if the colours are already sRGB
    /// - Throws: `InputError` for colours that cannot be converted
    func conversion(_ path: String) throws(InputError) -> (any PixelConversion)? {
        try colours.conversion(from: layout.colour, path: path)
    }

    /// Reads all rows of the upright picture.
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
    /// The error for a picture that cannot be read to its end.
    ///
    /// - Parameters:
    ///   - path: path of the file
    ///   - kind: name of the format, such as "PNG"
    ///   - reason: what is wrong or missing
    /// - Returns: the error
    static func damagedPicture(_ path: String, _ kind: String, _ reason: String) -> InputError {
        InputError(
            path,
            "it is not a whole \(kind): \(reason)",
            fix: "Name a picture, or fetch it again"
        )
    }
}

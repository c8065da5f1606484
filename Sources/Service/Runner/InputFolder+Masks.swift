import Engine
import Foundation

extension InputFolder {
    /// Stores a mask, which is white where the picture changes.
    ///
    /// - Parameters:
    ///   - bytes: a picture; if it has transparent pixels, these change, otherwise the white ones
    ///   - field: the field that contained it
    ///   - isInverted: whether black marks the parts that change
    /// - Returns: the stored mask
    /// - Throws: the same errors as `add`
    func addMask(
        _ bytes: some Collection<UInt8>,
        field: String,
        isInverted: Bool = false
    ) throws -> Stored {
        let stored = try add(bytes, field: field)
        if let mask = try mask(ofTransparencyIn: stored, field: field) { return mask }
        guard isInverted else { return stored }
        return try written(like: stored, field: field) { picture, take in
            try picture.rows { samples in
                try take(samples.map { UInt8((255 * (1 - min(max($0, 0), 1))).rounded()) })
            }
        }
    }

    /// The mask of a stored picture's transparent pixels; nil if it has none.
    ///
    /// - Throws: the same errors as `add`
    func mask(ofTransparencyIn stored: Stored, field: String) throws -> Stored? {
        let picture = try PictureFile(try file(of: stored.id, field: field))
        var isTransparent = false
        try picture.opacity { row in isTransparent = isTransparent || row.contains { $0 < 0.5 } }
        guard isTransparent else { return nil }
        return try written(like: stored, field: field) { picture, take in
            try picture.opacity { row in
                try take(row.flatMap { [UInt8](repeating: $0 < 0.5 ? 255 : 0, count: 3) })
            }
        }
    }

    /// Stores a PNG with the size of a stored picture.
    private func written(
        like stored: Stored,
        field: String,
        _ rows: (PictureFile, _ take: ([UInt8]) throws -> Void) throws -> Void
    ) throws -> Stored {
        let picture = try PictureFile(try file(of: stored.id, field: field))
        let scratch = "\(path)/mask-\(UUID().uuidString)"
        defer { unlink(scratch) }
        let writer = try PNGWriter(file: scratch, width: stored.width, height: stored.height)
        try rows(picture) { try writer.write(rows: $0) }
        _ = try writer.finish(numbered: false)
        return try add(try Data(contentsOf: URL(fileURLWithPath: scratch)), field: field)
    }
}

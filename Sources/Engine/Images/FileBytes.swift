import Foundation

/// Reads stretches of an open file, whatever its position.
enum FileBytes {
    /// - Parameters:
    ///   - descriptor: of the file
    ///   - place: of the first byte
    ///   - count: of them
    /// - Returns: fewer where the file ends; none where it cannot be read
    static func read(_ descriptor: Int32, at place: Int, count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let now = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor,
                    buffer.baseAddress?.advanced(by: done),
                    count - done,
                    off_t(place + done)
                )
            }
            if now < 0, errno == EINTR { continue }
            guard now > 0 else { break }
            done += now
        }
        return Array(bytes.prefix(done))
    }
}

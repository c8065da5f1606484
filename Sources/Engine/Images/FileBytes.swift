import Foundation

/// Reads byte ranges of an open file, independently of its position.
enum FileBytes {
    /// - Parameters:
    ///   - descriptor: file descriptor
    ///   - place: offset of the first byte
    ///   - count: number of bytes
    /// - Returns: fewer bytes at the end of the file; empty if it cannot be read
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

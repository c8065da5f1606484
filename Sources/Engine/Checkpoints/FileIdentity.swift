import Foundation

/// Identifies an unmodified file: device, inode, size, modification time and change time.
package struct FileIdentity: Equatable {
    let text: String
    /// Size in bytes.
    let size: Int
    /// The later of modification and change time, in seconds since 1970.
    private let newest: Int
    private let place: (device: UInt64, inode: UInt64)

    /// - Returns: nil if there is no file
    package init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let (modified, changed) = (status.st_mtim, status.st_ctim)
        text =
            "\(status.st_dev) \(status.st_ino) \(status.st_size) \(modified.tv_sec)."
            + "\(modified.tv_nsec) \(changed.tv_sec).\(changed.tv_nsec)"
        size = Int(status.st_size)
        place = (UInt64(status.st_dev), UInt64(status.st_ino))
        newest = max(modified.tv_sec, changed.tv_sec)
    }

    /// Whether it has been unchanged for this many seconds: a file changed within the last few seconds may still change
    /// without its timestamps changing.
    func isSettled(for seconds: Int) -> Bool { time(nil) - newest > seconds }

    /// Whether both identify the same file, even under different paths.
    package func isSameFile(as other: FileIdentity) -> Bool { place == other.place }

    package static func == (a: FileIdentity, b: FileIdentity) -> Bool { a.text == b.text }
}

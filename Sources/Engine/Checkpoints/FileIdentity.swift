import Foundation

/// What identifies a file that nobody has written to: device, inode, size and both times of change.
struct FileIdentity: Equatable {
    let text: String
    /// In bytes.
    let size: Int
    /// When it was changed last, in seconds since 1970.
    private let newest: Int

    /// - Returns: nil where there is no file
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let (modified, changed) = (status.st_mtim, status.st_ctim)
        text =
            "\(status.st_dev) \(status.st_ino) \(status.st_size) \(modified.tv_sec)."
            + "\(modified.tv_nsec) \(changed.tv_sec).\(changed.tv_nsec)"
        size = Int(status.st_size)
        newest = max(modified.tv_sec, changed.tv_sec)
    }

    /// Whether it was left alone for so many seconds: a file of the last seconds may still change
    /// without its times doing so.
    func isSettled(for seconds: Int) -> Bool { time(nil) - newest > seconds }

    static func == (a: FileIdentity, b: FileIdentity) -> Bool { a.text == b.text }
}

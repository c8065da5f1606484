import Glibc

/// Reads lines from a descriptor. Only one thread may read at a time.
///
/// `@unchecked Sendable`: the agent's main thread reads the request. If another thread reads the rest, the main thread
/// does not read after that thread has started.
final class LineInput: @unchecked Sendable {
    private let descriptor: Int32
    private var waiting: [UInt8] = []
    private var hasEnded = false

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// - Returns: nil at the end of the input, or if a line is longer than the limit
    func next(limit: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = waiting.firstIndex(of: UInt8(ascii: "\n")) {
                defer { waiting.removeSubrange(...end) }
                return Array(waiting[..<end])
            }
            guard !hasEnded, waiting.count <= limit else { return nil }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { hasEnded = true } else { waiting += buffer[..<count] }
        }
    }
}

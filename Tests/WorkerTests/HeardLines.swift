import Logging
import Synchronization

/// Collects log lines for a test to inspect.
final class HeardLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    var text: String { all.joined(separator: "\n") }

    func count(_ text: String) -> Int { all.count { $0.contains(text) } }

    /// A logger whose lines are kept.
    ///
    /// - Parameter level: lowest level that is kept
    /// - Returns: the logger
    func logger(_ level: Logger.Level = .warning) -> Logger {
        Logger(label: "test") { _ in Handler(heard: self, logLevel: level) }
    }

    private struct Handler: LogHandler {
        let heard: HeardLines
        var logLevel: Logger.Level
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { heard.lines.withLock { $0.append("\(event.message)") } }
    }
}

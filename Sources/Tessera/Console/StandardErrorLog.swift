import Logging

/// Human-readable log lines: the message, then its metadata.
struct StandardErrorLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(level: Logger.Level) {
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// A logger for notices, warnings and errors.
    static var logger: Logger {
        Logger(label: "tessera") { _ in StandardErrorLog(level: .notice) }
    }

    func log(event: LogEvent) {
        let facts = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let level = event.level == .notice ? "" : "\(event.level): "
        StandardError.write("\(level)\(event.message)\(facts)")
    }
}

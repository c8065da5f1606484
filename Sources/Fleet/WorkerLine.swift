import Logging

/// A line of a worker's output.
struct WorkerLine {
    let worker: String
    let text: String
    /// Whether its warnings are shown to the user.
    let isHeard: Bool

    /// Logs the worker's warnings as warnings, and everything else at the info level.
    func report(to logger: Logger) {
        let warning = "\(Logger.Level.warning): "
        guard isHeard, text.hasPrefix(warning) else {
            return logger.info("worker says", metadata: ["worker": "\(worker)", "line": "\(text)"])
        }
        logger.warning("\(worker): \(text.dropFirst(warning.count))")
    }
}

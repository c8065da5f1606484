import Logging

/// A line that a worker wrote.
struct WorkerLine {
    let worker: String
    let text: String
    /// Whether its warnings are to be seen.
    let isHeard: Bool

    /// Passes it on: what the worker warns of as a warning, all else for those who ask for details.
    func report(to logger: Logger) {
        let warning = "\(Logger.Level.warning): "
        guard isHeard, text.hasPrefix(warning) else {
            return logger.info("worker says", metadata: ["worker": "\(worker)", "line": "\(text)"])
        }
        logger.warning("\(worker): \(text.dropFirst(warning.count))")
    }
}

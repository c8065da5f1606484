import Synchronization

/// The last lines of each worker.
final class LastLines: Sendable {
    private let lines = Mutex<[String: [String]]>([:])

    func add(_ line: String, of name: String) {
        lines.withLock { $0[name] = Array(($0[name, default: []] + [line]).suffix(3)) }
    }

    /// The last lines of a worker.
    func lines(of name: String) -> [String] { lines.withLock { $0[name] ?? [] } }

    /// How a worker ended, including its last lines.
    func account(of name: String, _ ending: ChildProcess.Ending) -> String {
        let last = lines(of: name)
        guard !last.isEmpty else { return "\(name) \(ending)" }
        return "\(name) \(ending); its last lines: \(last.joined(separator: " | "))"
    }
}

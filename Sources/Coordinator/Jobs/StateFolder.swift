import Foundation

/// Folders for what outlives a process and cannot be made again.
enum StateFolder {
    /// `$XDG_STATE_HOME/tessera/<name>`, else in `~/.local/state`; nil for a user without a home.
    static func named(_ name: String) -> String? {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["XDG_STATE_HOME"], folder.hasPrefix("/") {
            return "\(folder)/tessera/\(name)"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return "\(home)/.local/state/tessera/\(name)"
    }
}

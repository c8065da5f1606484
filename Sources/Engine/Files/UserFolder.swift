import Foundation

/// This user's folders, following the XDG base directory specification.
package enum UserFolder {
    /// For data that can be recreated: `$XDG_CACHE_HOME/tessera`, by default below `~/.cache`.
    case cache
    /// For data that outlive a process and cannot be recreated: `$XDG_STATE_HOME/tessera`, by
    /// default below `~/.local/state`.
    case state
    /// For files that the user writes: `$XDG_CONFIG_HOME/tessera`, by default below `~/.config`.
    case config

    /// Expands a leading `~/` to the home folder from `$HOME`.
    package static func expanded(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = ProcessInfo.processInfo.environment["HOME"],
            home.hasPrefix("/")
        else { return (path as NSString).expandingTildeInPath }
        return home + path.dropFirst()
    }

    /// Path of a subfolder; nil for a user without a home folder. It need not exist.
    package func named(_ name: String) -> String? {
        let (variable, fallback) =
            switch self {
            case .cache: ("XDG_CACHE_HOME", ".cache")
            case .state: ("XDG_STATE_HOME", ".local/state")
            case .config: ("XDG_CONFIG_HOME", ".config")
            }
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment[variable], folder.hasPrefix("/") {
            return "\(folder)/tessera/\(name)"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return "\(home)/\(fallback)/tessera/\(name)"
    }
}

import Foundation

/// This user's folders, as the XDG base directory specification places them.
package enum UserFolder {
    /// For what can be recreated: `$XDG_CACHE_HOME/tessera`, else in `~/.cache`.
    case cache
    /// For what outlives a process and cannot be recreated: `$XDG_STATE_HOME/tessera`, else in `~/.local/state`.
    case state
    /// For what its user writes: `$XDG_CONFIG_HOME/tessera`, else in `~/.config`.
    case config

    /// A path that may begin with `~/`, the home folder as `$HOME` has it.
    package static func expanded(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = ProcessInfo.processInfo.environment["HOME"],
            home.hasPrefix("/")
        else { return (path as NSString).expandingTildeInPath }
        return home + path.dropFirst()
    }

    /// A folder in it; nil for a user without a home. It need not exist.
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

import Foundation

/// Folders for what can be made again.
enum CacheFolder {
    /// `$XDG_CACHE_HOME/tessera/<name>`, else in `~/.cache`; nil for a user without a home.
    static func named(_ name: String) -> String? {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") {
            return "\(folder)/tessera/\(name)"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return "\(home)/.cache/tessera/\(name)"
    }
}

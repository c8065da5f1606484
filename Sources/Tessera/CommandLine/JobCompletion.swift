import Coordinator
import Foundation

/// Shell completion for the job argument of `tessera resume`.
enum JobCompletion {
    /// Names of jobs in the default folder or, once a path has been typed, the folders below it.
    ///
    /// - Parameter typed: the text before the cursor
    /// - Returns: candidates; the shell keeps those that match what was typed
    static func candidates(for typed: String) -> [String] {
        let names = SavedJob.all().filter { !$0.isRunning }.map(\.name)
        guard let slash = typed.lastIndex(of: "/") else { return names }
        let folder = String(typed[...slash])
        let found = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return found.sorted().map { folder + $0 }.filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                && isFolder.boolValue
        }
    }
}

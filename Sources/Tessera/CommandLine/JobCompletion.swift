import Coordinator
import Foundation

/// What a shell offers for the job of `tessera resume`.
enum JobCompletion {
    /// Names of jobs in the default folder, and below a path that was begun the folders there.
    ///
    /// - Parameter typed: what stands before the cursor
    /// - Returns: words; the shell keeps those that begin as it was typed
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

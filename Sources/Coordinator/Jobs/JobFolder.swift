import Engine
import Foundation
import Synchronization

/// Folder of one job, with its command and its state. Only one process at a time can render it.
package final class JobFolder: Sendable {
    package let path: String
    private let lock: FileLock

    private var recordPath: String { "\(path)/job.json" }
    package var statePath: String { "\(path)/state.safetensors" }
    /// Prefix of the names of states that a running render may go back to.
    static let keptPrefix = "kept-"

    /// Default folder for jobs: `$XDG_STATE_HOME/tessera/jobs`, or else in `~/.local/state`; nil for a user without a
    /// home directory.
    package static var defaultFolder: String? { UserFolder.state.named("jobs") }

    /// A new unique path in the default folder, or nil if there is no default folder.
    package static func newPath() -> String? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMdd-HHmmss"
        // A process may start several jobs in one second.
        let number = count.add(1, ordering: .relaxed).newValue
        let name = "\(format.string(from: Date()))-\(getpid())" + (number == 1 ? "" : "-\(number)")
        return defaultFolder.map { "\($0)/\(name)" }
    }

    /// Number of paths that this process has generated.
    private static let count = Atomic<Int>(0)

    /// Finds the folder of a job by its path, or by its name in the default folder.
    ///
    /// - Throws: `InputError` if the job does not exist
    package static func find(_ job: String) throws(InputError) -> String {
        let candidates =
            [job] + (job.contains("/") ? [] : defaultFolder.map { ["\($0)/\(job)"] } ?? [])
        for path in candidates
        where FileManager.default.fileExists(atPath: "\(path)/job.json") {
            return URL(fileURLWithPath: path).path
        }
        throw InputError(
            job,
            "there is no job to resume",
            fix: "tessera resume without a name lists those that can be resumed"
        )
    }

    /// Creates the folder of a new job, and locks it.
    ///
    /// - Throws: `InputError` if it holds another job, `OutputError` if it cannot be created
    package convenience init(new path: String, _ record: Record) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw OutputError(path, "the folder cannot be created")
        }
        try self.init(taking: path)
        guard !FileManager.default.fileExists(atPath: recordPath) else { throw Self.taken(path) }
        try record.write(to: recordPath)
        sync()
    }

    /// Rejects a path that already holds a job.
    ///
    /// - Throws: `InputError`
    package static func checkFree(_ path: String) throws(InputError) {
        guard !FileManager.default.fileExists(atPath: "\(path)/job.json") else {
            throw taken(path)
        }
    }

    private static func taken(_ path: String) -> InputError {
        InputError(
            "--job-dir " + ShellWords.join([path]),
            "it holds a job that was not finished",
            fix: "Resume it with " + ShellWords.join(["tessera", "resume", path]) + ", or remove it"
        )
    }

    /// Locks the folder of an existing job.
    ///
    /// - Throws: `InputError` if there is none, or another process renders it
    package init(taking path: String) throws(InputError) {
        self.path = path
        lock = try FileLock(
            folder: path,
            fix: "Name a job's folder",
            taken: InputError(
                path,
                "another process renders this job",
                fix: "Wait for it, or stop it first"
            )
        )
    }

    /// The record of how the render was started.
    ///
    /// - Throws: `InputError` naming the field that is missing or wrong
    package func record() throws(InputError) -> Record {
        try Record(file: recordPath)
    }

    /// Keeps a failed picture if a step of it was saved: its series has gone on without it.
    ///
    /// - Parameter path: path of the folder
    /// - Returns: whether it can be resumed
    /// - Throws: `InputError` for a damaged record, `OutputError` if the disk is full or broken
    package static func leaveSeries(_ path: String) throws -> Bool {
        let folder = try JobFolder(taking: path)
        guard FileManager.default.fileExists(atPath: folder.statePath) else {
            folder.remove()
            return false
        }
        try folder.record().alone.write(to: folder.recordPath)
        return true
    }

    /// Makes new names in the folder survive a power failure.
    func sync() { lock.sync() }

    /// Its picture is finished: from now on the job represents only the rest of its series.
    ///
    /// - Throws: `InputError` for a damaged record, `OutputError` if the disk is full or broken
    func finishPicture() throws {
        guard let rest = try record().finished else { return }
        try rest.write(to: recordPath)
        sync()
        removeStates()
    }

    /// Removes its files, and the folder if nothing else is in it.
    package func remove() {
        // The record first: if this process is killed here, what is left is not offered for resuming.
        removeFiles(named: "job.json")
        removeStates()
        rmdir(path)
    }

    private func removeStates() {
        removeFiles(named: "state.safetensors")
        removeFiles(named: Self.keptPrefix)
    }

    /// Removes files by prefix: a process that was killed while saving left a file with a longer name.
    private func removeFiles(named start: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        for name in names where name.hasPrefix(start) { unlink("\(path)/\(name)") }
    }
}

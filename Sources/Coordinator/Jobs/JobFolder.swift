import Engine
import Foundation
import Synchronization

/// The folder of one job: its command and its state. While a process renders it,
/// no other can.
package final class JobFolder: Sendable {
    package let path: String
    private let lock: FileLock

    private var recordPath: String { "\(path)/job.json" }
    package var statePath: String { "\(path)/state.safetensors" }
    /// Names of states that a running render may go back to begin with this.
    static let keptPrefix = "kept-"

    /// The default folder of jobs: `$XDG_STATE_HOME/tessera/jobs`, else in `~/.local/state`; nil for a user
    /// without a home.
    package static var defaultFolder: String? { UserFolder.state.named("jobs") }

    /// A new unique path in the default folder, or nil if there is no default folder.
    package static func newPath() -> String? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMdd-HHmmss"
        // A process may begin several in one second.
        let number = count.add(1, ordering: .relaxed).newValue
        let name = "\(format.string(from: Date()))-\(getpid())" + (number == 1 ? "" : "-\(number)")
        return defaultFolder.map { "\($0)/\(name)" }
    }

    /// Number of paths that this process has generated.
    private static let count = Atomic<Int>(0)

    /// The folder of a job, from its path or its name in the default folder.
    ///
    /// - Throws: `InputError` when there is no job
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
    /// - Throws: `InputError` when it holds another job, `OutputError` when it cannot be created
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

    /// Rejects a path that holds a job already.
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
    /// - Throws: `InputError` when there is none, or another process renders it
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

    /// The render's command.
    ///
    /// - Throws: `InputError` naming the field that is missing or wrong
    package func record() throws(InputError) -> Record {
        try Record(file: recordPath)
    }

    /// Keeps a picture that failed, if a step of it was saved: its series has gone on without it.
    ///
    /// - Parameter path: of the folder
    /// - Returns: whether it can be resumed
    /// - Throws: `InputError` for a damaged record, `OutputError` when the disk is full or broken
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

    /// Its picture is finished: from now on the job stands for the rest of its series alone.
    ///
    /// - Throws: `InputError` for a damaged record, `OutputError` when the disk is full or broken
    func finishPicture() throws {
        guard let rest = try record().finished else { return }
        try rest.write(to: recordPath)
        sync()
        removeStates()
    }

    /// Removes its files, and the folder if nothing else is in it.
    package func remove() {
        // The record first: if this process is killed here, what is left is not offered to be resumed.
        removeFiles(named: "job.json")
        removeStates()
        rmdir(path)
    }

    private func removeStates() {
        removeFiles(named: "state.safetensors")
        removeFiles(named: Self.keptPrefix)
    }

    /// Those whose names begin so: a process that was killed while saving left a file with a longer name.
    private func removeFiles(named start: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        for name in names where name.hasPrefix(start) { unlink("\(path)/\(name)") }
    }
}

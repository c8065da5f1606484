import Engine
import Foundation
import Synchronization

/// The folder of one job: its command and its state. While a process renders it,
/// no other can.
package final class JobFolder: Sendable {
    /// The command of a render.
    package struct Record: Equatable, Sendable {
        /// The subcommand that renders.
        package let command: String
        /// Its arguments on the command line.
        package let arguments: [String]
        /// The working directory: relative paths start there.
        package let directory: String
        /// The model's identity.
        package let digest: String
        /// Everything that decides the picture, as JSON.
        package let settings: String

        package init(
            command: String,
            arguments: [String],
            directory: String,
            digest: String,
            settings: String
        ) {
            (self.command, self.arguments, self.directory) = (command, arguments, directory)
            (self.digest, self.settings) = (digest, settings)
        }

        /// Its name in the file of the state.
        var identity: String {
            let hash = FileHash()
            for text in [digest, settings] { hash.add(text: text) }
            return hash.finish()
        }
    }

    package let path: String
    private let hold: FileLock

    private static let format = 1
    private var recordPath: String { "\(path)/job.json" }
    package var statePath: String { "\(path)/state.safetensors" }

    /// The default folder of jobs: `$XDG_STATE_HOME/tessera/jobs`, else in `~/.local/state`; nil for a user
    /// without a home.
    package static var defaultFolder: String? { UserFolder.state.named("jobs") }

    /// A path in the usual place that nobody else takes, or nil where there is none.
    package static func newPath() -> String? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMdd-HHmmss"
        // A process may begin several in one second.
        let number = count.add(1, ordering: .relaxed).newValue
        let name = "\(format.string(from: Date()))-\(getpid())" + (number == 1 ? "" : "-\(number)")
        return defaultFolder.map { "\($0)/\(name)" }
    }

    /// Paths that this process has made up.
    private static let count = Atomic<Int>(0)

    /// The folder that a person means by a path or by a name in the usual place.
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
    /// - Throws: `InputError` when it holds another job, `OutputError` when it cannot be made
    package convenience init(new path: String, _ record: Record) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw OutputError(path, "the folder cannot be made")
        }
        try self.init(taking: path)
        guard !FileManager.default.fileExists(atPath: recordPath) else { throw Self.taken(path) }
        let fields: [String: Any] = [
            "format": Self.format, "command": record.command, "arguments": record.arguments,
            "directory": record.directory, "model-digest": record.digest,
            "settings": record.settings,
        ]
        let options: JSONSerialization.WritingOptions = [
            .sortedKeys, .withoutEscapingSlashes, .prettyPrinted,
        ]
        let data = try JSONSerialization.data(withJSONObject: fields, options: options)
        let file = try TemporaryFile(for: recordPath)
        try file.write(Array(data))
        try file.commit()
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
        hold = try FileLock(
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
        func damaged(_ problem: String) -> InputError {
            InputError(recordPath, problem, fix: "The job cannot be resumed: start over")
        }
        let json: JSON
        do throws(InputError) {
            json = try JSON(InputFile.bytes(recordPath, limit: 1 << 20), place: recordPath)
        } catch {
            throw error.isSystemLimit ? error : damaged(error.problem)
        }
        guard json.object?["format"]?.integer == Self.format else {
            throw damaged("it is not a job of this version of Tessera")
        }
        func text(_ key: String) throws(InputError) -> String {
            guard let text = json.object?[key]?.string else { throw damaged("'\(key)' is missing") }
            return text
        }
        guard let list = json.object?["arguments"]?.array,
            case let arguments = list.compactMap(\.string), arguments.count == list.count
        else { throw damaged("'arguments' is missing") }
        return Record(
            command: try text("command"),
            arguments: arguments,
            directory: try text("directory"),
            digest: try text("model-digest"),
            settings: try text("settings")
        )
    }

    /// Makes new names in the folder survive a power failure.
    func sync() { hold.sync() }

    /// Removes its files, and the folder if nothing else is in it.
    package func remove() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        // A process that was killed while saving left a file with a longer name.
        for name in names
        where name.hasPrefix("state.safetensors") || name.hasPrefix("job.json") {
            unlink("\(path)/\(name)")
        }
        rmdir(path)
    }
}

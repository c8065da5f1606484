import ArgumentParser
import Coordinator
import Engine
import Foundation

/// `tessera resume`: continues an interrupted render.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Continues an interrupted render from the last saved step.",
        discussion: """
            Without a job it lists those that can be resumed. All settings of the picture are kept; the flags below \
            override those of the original command. Of a series of pictures, the one in progress is resumed and the \
            rest is rendered.
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The job's folder, or its name in ~/.local/state/tessera/jobs.",
            valueName: "job"
        ),
        completion: .custom { _, _, typed in JobCompletion.candidates(for: typed) }
    )
    var job: String?

    @Flag(help: "Resume the newest job that no process is rendering.")
    var last = false

    @OptionGroup(title: "Workers of tessera render") var local: LocalFlags
    @OptionGroup(title: "Workers of tessera coordinator") var listening: ListeningFlags
    @OptionGroup(title: "Workers of tessera coordinator") var security: CoordinatorSecurityFlags
    @OptionGroup(title: "Workers") var verify: VerifyFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Output") var outputs: ResumedOutputFlags
    @OptionGroup(title: "Output") var display: DisplayFlags

    func run() throws {
        try ExitStatus.reporting {
            guard let path = try chosen() else { return try list() }
            let folder = try JobFolder(taking: path)
            let record = try folder.record()
            let given = try flags(for: record)
            guard chdir(record.directory) == 0 else {
                throw InputError(
                    record.directory,
                    "the folder in which the render was started no longer exists",
                    fix: "Create it again"
                )
            }
            switch record.command {
            case "render": try resume(Render.self, (folder, record), given)
            case "coordinator": try resume(Coordinate.self, (folder, record), given)
            default:
                throw InputError(
                    folder.path,
                    "its command '\(record.command)' is unknown",
                    fix: "Resume it with the version of Tessera that started it"
                )
            }
        }
    }

    /// Resumes a picture, and the series that it belongs to.
    private func resume<Command: RenderCommand>(
        _ type: Command.Type,
        _ job: Rendering.Resumed,
        _ given: [String]
    ) throws {
        let own = try parse(type, job.record.arguments + given, job.folder)
        let list: PictureList<Command>
        let suggestions = SuggestionMemory(job.record.suggestions ?? [:])
        let isFinished = job.record.series?.isFinished == true
        var first = 0
        if let place = job.record.series {
            list = try PictureList(
                defaults: [],
                given: place.arguments + given,
                place: job.folder.path,
                start: Date(timeIntervalSince1970: place.started),
                suggestions: suggestions
            )
            first = place.index + (isFinished ? 1 : 0)
            guard first < list.count else {
                throw InputError(
                    job.folder.path,
                    "its series of pictures has become shorter",
                    fix: "Restore the file of prompts that it was started with"
                )
            }
        } else {
            list = try PictureList(
                defaults: [],
                given: job.record.arguments + given,
                place: job.folder.path,
                suggestions: suggestions
            )
        }
        try ConsoleSeries(
            list: list,
            first: first,
            resumed: isFinished ? nil : (job, own),
            rest: isFinished ? job.folder : nil
        ).run()
    }

    /// The job's folder; nil if none is given.
    private func chosen() throws(InputError) -> String? {
        guard last else { return try job.map(JobFolder.find) }
        guard job == nil else {
            throw InputError("--last", "a job is named, too", fix: "Use only one of them")
        }
        guard let newest = SavedJob.all().first(where: { !$0.isRunning }) else {
            throw InputError(
                "--last",
                "there is no job to resume",
                fix: "Name the folder that was given as --job-dir"
            )
        }
        display.note("resuming \(ShellWords.join([newest.name]))")
        return newest.path
    }

    private func list() throws {
        let jobs = SavedJob.all()
        if display.json { return try StandardOutput.write(json: jobs) }
        guard !jobs.isEmpty else {
            display.note("no job can be resumed (those with --job-dir are not listed)")
            return
        }
        try StandardOutput.write(
            lines: SavedJob.lines(jobs, now: Date().timeIntervalSince1970)
        )
        display.note("to continue: tessera resume JOB, or tessera resume --last")
    }

    /// Flags that override those of the original command.
    ///
    /// - Throws: `InputError` for flags that the job's command does not have
    private func flags(for record: JobFolder.Record) throws(InputError) -> [String] {
        let (own, other) = (local.arguments, listening.arguments + security.arguments)
        let foreign = record.command == "coordinator" ? own : other
        if let flag = foreign.first {
            throw InputError(
                String(flag.prefix { $0 != "=" }),
                "the job was started by tessera \(record.command), which has no such flag",
                fix: "Leave it out"
            )
        }
        return (record.command == "coordinator" ? other : own) + verify.arguments + engine.arguments
            + outputs.arguments + display.arguments
    }

    private func parse<Command: PictureCommand>(
        _ command: Command.Type,
        _ arguments: [String],
        _ folder: JobFolder
    ) throws(InputError) -> Command {
        do {
            return try command.parse(FlagWords(arguments, of: Command.description).spelled)
        } catch {
            throw InputError(
                folder.path,
                "its flags cannot be read: \(command.message(for: error))",
                fix: "Resume it with the version of Tessera that started it"
            )
        }
    }
}

/// Output flags that may change when a render is resumed.
struct ResumedOutputFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("New path for the picture.", valueName: "file"),
        completion: .file(extensions: ["png", "tif", "tiff"])
    )
    var output: String?

    @Option(
        help: ArgumentHelp("Save the state after this many steps; 0 never saves.", valueName: "n")
    )
    var checkpointEvery: Int?

    var arguments: [String] {
        (output.map { path in
            let isStream = path == PictureFormat.standardOutput
            let whole = isStream ? path : URL(fileURLWithPath: path).standardizedFileURL.path
            return ["--output=" + whole]
        } ?? [])
            + (checkpointEvery.map { ["--checkpoint-every=\($0)"] } ?? [])
    }
}
